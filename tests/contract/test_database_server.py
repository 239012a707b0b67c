"""What is special about a MySQL server: reaching it, its limits, its locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import Any

import pymysql
import pytest

from tests.chaos.network import Network
from tests.contract.bench import BROKEN, DONE, FINE, LEASE, DatabaseBench, at_once, job, put_one, take
from tests.support.mariadb import MariaDB
from tests.support.need import require
from tests.support.wait import wait_for
from wpbg.errors import PluginNotReady, QueueError, QueueUnreachable
from wpbg.job import Status
from wpbg.ledger import Ledger
from wpbg.queues import connection, housekeeping, mysql
from wpbg.queues.base import Settlement, heartbeat
from wpbg.queues.connection import Contention, TooLarge
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.housekeeping import GRACE
from wpbg.queues.mysql import MySQL
from wpbg.queues.settings import DatabaseSettings
from wpbg.settle import Finish, Release, Retry

CLIENT_SSL = 2048


def server_of(bench: DatabaseBench) -> MariaDB:
    assert bench.site.server is not None
    return bench.site.server


def connection_of(queue: DatabaseQueue) -> MySQL:
    assert isinstance(queue.database, MySQL)
    return queue.database


def reached(settings: DatabaseSettings) -> bool:
    with closing(MySQL(settings)) as database:
        return database.rows("job_state", id=0) == []


class TestItsClock:
    def test_leases_are_renewed_by_the_time_that_it_has_now(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server's clock is set, or its machine sleeps, while a worker's connections stay open for weeks."""
        monkeypatch.setattr(connection, "CLOCK_AGAIN", 0.0)
        queue = maria.table(clock=None)
        put_one(queue)
        lease = take(queue)
        before = queue.now_ms()
        connection_of(queue)._ask("SET SESSION timestamp = UNIX_TIMESTAMP() + 3600")
        queue.renew([lease])
        until = maria.site.query(f"SELECT due_at FROM {maria.site.jobs} WHERE id = %s", (int(lease.job.id),))
        assert until[0]["due_at"] - before >= 3_600_000

    def test_a_jump_that_was_found_in_passing_is_not_forgotten(self, maria: DatabaseBench) -> None:
        """Whoever rescues must know of it, also when the connection had to be made anew meanwhile."""
        database = connection_of(maria.table(clock=None))
        for connect in (database.connect, lambda: None):
            database._clock.set(0.0)
            database.close()
            connect()
            assert database.check_clock() > 1_000_000
            assert abs(database.check_clock()) < 60_000

    def test_a_ledger_asks_it_again_too(self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "CLOCK_AGAIN", 0.0)
        with closing(Ledger(maria.settings)) as ledger:
            before = ledger.now_ms()
            assert isinstance(ledger.database, MySQL)
            ledger.database._ask("SET SESSION timestamp = UNIX_TIMESTAMP() + 3601")
            assert ledger.now_ms() - before >= 3_600_000


class TestReachingIt:
    def test_by_host_and_port(self, maria: DatabaseBench) -> None:
        assert reached(maria.settings)

    @pytest.mark.parametrize("form", ["localhost:{}", ":{}", "LOCALHOST:{}"])
    def test_by_socket(self, maria: DatabaseBench, form: str) -> None:
        assert reached(replace(maria.settings, host=form.format(server_of(maria).socket)))

    @pytest.mark.parametrize("host", ["localhost", "", "localhost:1"])
    def test_localhost_is_the_default_socket(self, maria: DatabaseBench, host: str) -> None:
        assert reached(replace(maria.settings, host=host, socket=str(server_of(maria).socket)))

    def test_by_phps_default_port(self, maria: DatabaseBench) -> None:
        assert reached(replace(maria.settings, host="127.0.0.1", port=server_of(maria).port))

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"host": "127.0.0.1:1"}, "127.0.0.1:1 cannot be reached"),
            ({"host": "localhost:/nowhere/my.sock"}, "/nowhere/my.sock cannot be reached"),
            ({"host": "no-such-host.invalid"}, "no-such-host.invalid:3306 cannot be reached"),
            ({"password": "wrong"}, "refuses the user 'wp'.*DB_PASSWORD"),
            ({"user": "nobody"}, "refuses the user 'nobody'.*DB_USER"),
            ({"name": "nothing"}, "'nothing'.*DB_NAME"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line(self, maria: DatabaseBench, wrong: dict[str, str], said: str) -> None:
        with pytest.raises(QueueUnreachable, match=said) as caught:
            reached(replace(maria.settings, **wrong))
        assert caught.value.exit_code == 4
        assert maria.settings.password not in str(caught.value)

    def test_tls_that_was_asked_for_is_not_left_out(self, maria: DatabaseBench) -> None:
        with pytest.raises(QueueUnreachable, match=r"no TLS.*MYSQL_CLIENT_FLAGS"):
            reached(replace(maria.settings, flags=CLIENT_SSL))

    def test_tls_files_that_are_not_there(self, maria: DatabaseBench) -> None:
        with pytest.raises(QueueError, match="MYSQL_SSL_CA"):
            reached(replace(maria.settings, flags=CLIENT_SSL, ssl_ca="/nowhere/ca.pem"))

    def test_missing_tables_are_the_plugins_affair(self, maria: DatabaseBench) -> None:
        with pytest.raises(PluginNotReady, match="wpbg install") as caught:
            reached(replace(maria.settings, prefix="other_"))
        assert caught.value.exit_code == 3

    def test_so_are_tables_of_the_older_plugin(self, maria: DatabaseBench) -> None:
        maria.site.query("CREATE TABLE old_bg_jobs (id bigint primary key, queue varchar(512), payload longtext)")
        try:
            with pytest.raises(PluginNotReady, match=r"older than this wpbg.*wpbg install"):
                reached(replace(maria.settings, prefix="old_"))
        finally:
            maria.site.query("DROP TABLE old_bg_jobs")

    def test_whatever_keeps_us_out_is_waited_for(self, maria: DatabaseBench) -> None:
        """A locked account, a blocked host: an outcome that is to be recorded must not be given up for it."""
        server = server_of(maria)
        server.execute("CREATE USER locked IDENTIFIED BY 'x' ACCOUNT LOCK")
        try:
            with pytest.raises(QueueUnreachable, match=r"cannot be reached.*locked"):
                reached(replace(maria.settings, user="locked", password="x"))
        finally:
            server.execute("DROP USER locked")

    def test_a_connection_that_was_closed_for_being_idle_is_made_anew_unnoticed(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = maria.queue()
        put_one(queue)
        maria.cut(queue)
        monkeypatch.setattr(mysql, "IDLE_SECONDS", -1.0)
        assert queue.settle(take(queue), DONE, FINE)


WAITS = """
import json, sys, time
from wpbg.queues.mysql import MySQL
from wpbg.queues.settings import DatabaseSettings
database = MySQL(DatabaseSettings(**json.load(sys.stdin)))
database.connect()
print("asks", flush=True)
begun = time.monotonic()
try:
    database._guarded(lambda: database._ask("SELECT SLEEP(40)"))
except Exception as error:
    print(type(error).__name__, time.monotonic() - begun)
"""


def test_a_server_that_is_gone_while_its_answer_is_waited_for(maria: DatabaseBench) -> None:
    """A network that is dead says nothing of it; a minute's silence would be longer than a lease. The kernel asks,
    after a second here."""
    if os.geteuid() != 0:
        pytest.skip("only root can have a network of its own")
    require("ip", "iproute2")
    require("nsenter", "util-linux")
    server = server_of(maria)
    with closing(Network()) as network:
        if not network.is_namespace:
            pytest.skip("this machine lets nobody have a network of his own (CAP_NET_ADMIN)")
        settings = replace(maria.settings, host=network.to("127.0.0.1", server.port), notice=1.0)
        argv = [*network.enter, sys.executable, "-c", WAITS]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            json.dump(asdict(settings), process.stdin)
            process.stdin.close()
            assert process.stdout.readline() == "asks\n"
            asked = "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(40)'"
            wait_for(lambda: server.execute(asked)[0]["n"], 10, "the server works on its answer")
            network.pull_out()
            name, seconds = process.stdout.readline().split()
            network.put_back()
    assert name == "QueueUnreachable"
    assert 2 < float(seconds) < 12


class TestLimits:
    @pytest.fixture(autouse=True)
    def small_packets(self, maria: DatabaseBench) -> Iterator[None]:
        server = server_of(maria)
        (before,) = server.execute("SELECT @@GLOBAL.max_allowed_packet AS size")
        server.execute("SET GLOBAL max_allowed_packet = 262144")
        yield
        server.execute("SET GLOBAL max_allowed_packet = %s", (before["size"],))

    def test_a_job_that_is_too_large_is_refused_with_its_size_and_nothing_is_put(self, maria: DatabaseBench) -> None:
        queue = maria.queue()
        with pytest.raises(TooLarge, match=r"at most 256 KiB.*max_allowed_packet.*needs \d\d\d KiB"):
            queue.put([job(b"small"), job(b"x" * 300_000)])
        assert queue.reserve(9, "w1") == []
        assert put_one(queue, payload=b"y" * 120_000)

    @pytest.mark.parametrize("decision", [DONE, Finish(Status.FAILED), Retry(0)])
    def test_an_outcome_that_is_too_large_is_recorded_without_what_makes_it_so(
        self, maria: DatabaseBench, decision: Finish | Retry
    ) -> None:
        queue = maria.queue()
        job_id = put_one(queue)
        outcome = replace(BROKEN, result='"' + "x" * 300_000 + '"', output=b"\xff" * 400_000 + b"the end")
        assert queue.settle(take(queue), decision, outcome)
        shown = maria.job(job_id)
        assert (shown["result"], shown["output"][-7:]) == (None, "the end")
        assert "max_allowed_packet" in maria.log(job_id)[-1]["note"]

    def test_and_released_all_the_same(self, maria: DatabaseBench) -> None:
        queue = maria.queue()
        put_one(queue)
        assert queue.settle(take(queue), Release(), replace(BROKEN, output=b"x" * 400_000))


class TestLocks:
    def test_a_deadlock_is_begun_again(self, maria: DatabaseBench) -> None:
        queues = [maria.queue(), maria.queue()]
        ids = [int(job_id) for job_id in queues[0].put([job(), job()])]
        both_hold_one = threading.Barrier(2)
        begun: list[int] = []

        def cross(queue: DatabaseQueue, first: int, second: int) -> None:
            def work() -> None:
                begun.append(first)
                queue.database.change("cancel_waiting", id=first, now=1)
                if len(begun) <= 2:
                    both_hold_one.wait(30)
                queue.database.change("cancel_waiting", id=second, now=1)

            queue.database.atomically(work)

        at_once(lambda: cross(queues[0], *ids), lambda: cross(queues[1], *reversed(ids)))
        assert len(begun) == 3, "one of them had to begin again"
        assert {maria.job(str(job_id))["status"] for job_id in ids} == {"cancelled"}

    def test_locks_that_are_held_for_too_long_are_an_error_that_may_be_tried_again(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mysql, "LOCK_SECONDS", 0)
        monkeypatch.setattr("wpbg.queues.connection.TRIES", 2)
        queue = maria.queue()
        put_one(queue)
        lease = take(queue)
        with others_lock(maria, f"SELECT * FROM {maria.site.jobs} WHERE id = %s FOR UPDATE", (int(lease.job.id),)):
            with pytest.raises(Contention, match="busy with others' locks"):
                queue.settle(lease, DONE, FINE)
            assert connection_of(queue).is_open(), "nothing is wrong with the connection"
        assert queue.settle(lease, DONE, FINE)

    def test_a_claim_steps_over_rows_that_others_hold(self, maria: DatabaseBench) -> None:
        queue = maria.queue()
        held, free = queue.put([job(), job()])
        assert connection_of(queue).skip_locked
        with others_lock(maria, f"SELECT * FROM {maria.site.jobs} WHERE id = %s FOR UPDATE", (int(held),)):
            assert [lease.job.id for lease in queue.reserve(2, "w1")] == [free]
        assert take(queue).job.id == held

    def test_a_heartbeat_does_not_wait_for_a_row_that_somebody_holds(self, maria: DatabaseBench) -> None:
        """A connection of the same worker that was lost in the middle of recording an outcome, for one."""
        queue = maria.table()
        queue.put([job(), job(), job()])
        leases = queue.reserve(3, "w1")
        maria.clock.advance(LEASE - 1)
        with others_lock(maria, row_of(maria), (int(leases[1].job.id),)):
            began = time.monotonic()
            renewal = queue.renew(leases)
            assert time.monotonic() - began < 4, "others' locks are waited for for longer"
        assert (renewal.lost, renewal.again) == (frozenset(), {leases[1]})
        maria.clock.advance(1)
        assert queue.tick().rescued == (leases[1].job.id,), "the others were renewed"

    @pytest.mark.parametrize("how", [{}, {"skip_lock": True}])
    def test_a_row_that_somebody_holds_keeps_no_other_from_being_renewed(
        self, maria: DatabaseBench, how: dict[str, bool]
    ) -> None:
        maria.settings = replace(maria.settings, notice=1.0)
        queue = maria.table(**how)
        queue.put([job(), job(), job()])
        leases = queue.reserve(3, "w1")
        maria.clock.advance(LEASE - 1)
        with others_lock(maria, row_of(maria), (int(leases[0].job.id),)):
            renewal = queue.renew(leases)
        assert (renewal.lost, renewal.again) == (frozenset(), {leases[0]})
        assert queue.renew(leases).again == frozenset()
        maria.clock.advance(1)
        assert queue.tick().rescued == ()

    @pytest.mark.parametrize("how", [{}, {"skip_lock": True}])
    def test_nor_from_being_rescued_and_once_it_is_free_its_worker_comes_first(
        self, maria: DatabaseBench, how: dict[str, bool]
    ) -> None:
        maria.settings = replace(maria.settings, notice=1.0)
        queue = maria.table(**how)
        queue.put([job(), job(), job()])
        leases = queue.reserve(3, "w1")
        maria.clock.advance(LEASE)
        with others_lock(maria, row_of(maria), (int(leases[0].job.id),)):
            assert queue.tick().rescued == (leases[1].job.id, leases[2].job.id)
        assert queue.tick().rescued == ()
        keeper = queue._housekeeper
        keeper._awake = lambda: time.monotonic() + GRACE * heartbeat(LEASE / 1000)
        assert queue.tick().rescued == (leases[0].job.id,)

    @pytest.mark.parametrize("how", [{}, {"skip_lock": True}])
    def test_a_table_that_somebody_locks_costs_no_leases(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch, how: dict[str, bool]
    ) -> None:
        """As mysqldump does it: nobody can renew, and whoever wanted to rescue has waited beside those who live."""
        queue = maria.table(**how)
        put_one(queue)
        take(queue)
        maria.clock.advance(LEASE)
        monkeypatch.setattr(housekeeping, "LONG_WAIT", 0.2)
        with others_lock(maria, f"LOCK TABLES {maria.site.jobs} READ"):
            unlock = threading.Event()
            rounds: list[Any] = []
            thread = threading.Thread(target=lambda: rounds.append(queue.tick()))
            thread.start()
            assert not unlock.wait(1.0)
        thread.join(30)
        assert rounds[0].rescued == ()
        assert queue.tick().rescued == ()

    def test_a_client_that_is_gone_without_a_word_soon_holds_no_rows(self, maria: DatabaseBench) -> None:
        """Its server does not learn of a power cut, and would keep for it for hours what it had locked."""
        gone = maria.table()
        put_one(gone)
        lease = take(gone)
        gone.database.settings = replace(maria.settings, notice=1.0)
        gone.close()
        gone.database.connect()
        gone.database._begin()
        held = {"id": int(lease.job.id), "token": lease.token, "until": 1}
        assert gone.database._execute("renew", held)[1] == 1
        began = time.monotonic()
        assert maria.queue().settle(lease, DONE, FINE)
        assert time.monotonic() - began < mysql.LOCK_SECONDS / 2
        with pytest.raises(QueueUnreachable):
            gone.database.rows("job_state", id=1)
        assert gone.database.rows("job_state", id=0) == [], "it may come back"

    def test_a_pause_holds_while_somebody_locks_its_row(self, maria: DatabaseBench) -> None:
        queue = maria.queue()
        put_one(queue)
        maria.pause("default")
        with others_lock(maria, f"SELECT * FROM {maria.site.table('bg_queues')} FOR UPDATE"):
            assert queue.reserve(1, "w1") == []


def row_of(bench: DatabaseBench) -> str:
    return f"SELECT * FROM {bench.site.jobs} WHERE id = %s FOR UPDATE"


@contextmanager
def others_lock(bench: DatabaseBench, sql: str, parameters: tuple[object, ...] = ()) -> Iterator[None]:
    """Another program holds what this statement locks."""
    with closing(server_of(bench).connect(bench.site.database, root=True)) as connection:
        connection.begin()
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
        yield
        connection.rollback()


class TestDoubt:
    """The server did it, but its answer was lost with the connection."""

    @pytest.mark.parametrize(
        ("statement", "decision"),
        [("finish", DONE), ("finish", Finish(Status.FAILED)), ("retry", Retry(1000)), ("release", Release())],
    )
    def test_settling_again_finds_that_it_was_done(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch, statement: str, decision: Any
    ) -> None:
        queue = maria.queue()
        job_id = put_one(queue)
        lease = take(queue)
        lose_the_answer_to(statement, connection_of(queue), monkeypatch)
        with pytest.raises(QueueUnreachable):
            queue.settle(lease, decision, BROKEN)
        before = maria.job(job_id)
        assert queue.settle(lease, decision, BROKEN), "it was ours, and it is done"
        assert maria.job(job_id) == before
        assert not queue.settle(lease, decision, BROKEN), "nothing is in doubt any more"

    def test_also_on_another_connection_of_the_same_worker(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pool, slot = maria.queue(), maria.queue()
        put_one(pool)
        item = Settlement(take(slot), DONE, FINE)
        lose_the_answer_to("finish", connection_of(pool), monkeypatch)
        with pytest.raises(QueueUnreachable):
            pool.settle_all([item])
        assert slot.settle_all([replace(item, tried=True)]) == [True]

    def test_but_not_when_somebody_else_has_it_by_then(
        self, maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue, other = maria.queue(), maria.queue()
        put_one(queue)
        lease = take(queue)
        lose_the_answer_to("retry", connection_of(queue), monkeypatch)
        with pytest.raises(QueueUnreachable):
            queue.settle(lease, Retry(0), BROKEN)
        assert take(other, "other").job.id == lease.job.id
        assert not queue.settle(lease, Retry(0), BROKEN)


def lose_the_answer_to(statement: str, database: MySQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the statement is executed and committed, then the connection is gone."""
    execute = MySQL._execute

    def once(self: MySQL, name: str, params: dict[str, Any], **how: Any) -> Any:
        answer = execute(self, name, params, **how)
        if self is database and name == statement:
            monkeypatch.undo()
            raise pymysql.err.OperationalError(2013, "Lost connection to server during query")
        return answer

    monkeypatch.setattr(MySQL, "_execute", once)
