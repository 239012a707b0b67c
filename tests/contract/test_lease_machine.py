"""The lease protocol as a state machine, against the real statements on both databases.

Three workers, a site and an operator do in any order what the port and the desk allow, also with leases that are no
longer theirs, also two of them in the same moment. After each step the table holds what the model says.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.contract.bench import BROKEN, FINE, LEASE, DatabaseBench, at_once, job
from tests.contract.lease_model import RETENTION, Held, Model
from tests.support.site import Site
from wpbg.job import Ending, Lease, Outcome, Progress, Status
from wpbg.ledger import Ledger, NoSuchJob, WrongState
from wpbg.queues.base import Settlement
from wpbg.settle import Decision, decide

STEPS = int(os.environ.get("WPBG_TEST_LEASE_STEPS", "1800"))
"""On each database, about; each example makes PER_EXAMPLE, and those that hypothesis has drawn before are not run."""
PER_EXAMPLE = 30
SEED = int(os.environ.get("WPBG_TEST_LEASE_SEED", "1"))

QUEUES = (("default", "mail"), ("mail", "default"), ("default",))
"""Of the three workers, in their precedence."""

COLUMNS = "id, status, attempts, lease_token, due_at, cancel_requested, unique_hash, started_at, max_attempts, history"

WORKER = st.integers(0, 2)
PICK = st.integers(0, 11)
KEYS = st.sampled_from([None, None, "a", "b"])

ENDINGS = {
    "completes": FINE,
    "completes in silence": Outcome(Ending.COMPLETED, "1"),
    "fails": BROKEN,
    "is interrupted": Outcome(Ending.INTERRUPTED),
    "is cancelled": Outcome(Ending.CANCELLED),
    "runs too long": Outcome(Ending.TIMED_OUT, error=BROKEN.error),
    "loses its process": Outcome(Ending.PROCESS_DIED, error=BROKEN.error),
}

WORK = st.sampled_from(
    [
        "settle",
        "reserve",
        "sleep",
        "tick",
        "settle many",
        "renew",
        "time passes",
        "begin",
        "sleep",
        "reserve",
        "progress",
    ]
)
SPANS = (LEASE // 3, LEASE, 1, LEASE - 1, 2 * LEASE, RETENTION)
OPERATIONS = st.sampled_from(["cancel", "retry", "retry", "delete", "cancel", "pause", "retry all", "purge"])
HOW = st.sampled_from(sorted(ENDINGS))
MEETING = st.sampled_from(["reserve", "reserve", "tick", "renew", "cancel", "retry", "delete", *sorted(ENDINGS)])


@dataclass
class Act:
    """Something that one of them does: for real, and in the model."""

    name: str
    real: Callable[[], Any]
    model: Callable[[Model], Any]
    rows_apart: bool = False
    """Whether it changes rows in statements of their own, between which others may come, or steps over locked ones."""


class Leases(RuleBasedStateMachine):
    """One database, three workers. `bench` is set by the test."""

    bench: Callable[[ExitStack], DatabaseBench]
    skip_lock = False
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.at = type(self).bench(self.stack)
        options = {"retention_ms": RETENTION, "skip_lock": self.skip_lock}
        self.workers = [self.at.table(*names, **options) for names in QUEUES]
        other = self.stack.enter_context(closing(Ledger(self.at.settings, clock=self.at.clock)))
        self.ledgers = (self.at.ledger, other)
        site = self.at.site
        connection = site.server.connect(site.database, root=True) if site.server else sqlite3.connect(site.database)
        self.looking = self.stack.enter_context(closing(connection)).cursor()
        self.at.clock.advance(LEASE)  # From now on, leases are judged.
        self.model = Model()
        self.leases: list[Lease] = []
        self.tokens: dict[int, int] = {}

    def teardown(self) -> None:
        self.stack.close()

    @property
    def now(self) -> int:
        return self.at.clock.now

    def a_lease(self, pick: int) -> Lease | None:
        """One of the last: the jobs of most others are gone. No draw may depend on how a race ended."""
        recent = self.leases[-6:]
        return recent[pick % len(recent)] if recent else None

    def a_job(self, pick: int) -> int | None:
        return sorted(self.model.rows)[pick % len(self.model.rows)] if self.model.rows else None

    # -- what they do -----------------------------------------------------------------------------------------

    def putting(self, queue: str, priority: int, delay: int, unique: str | None, most: int) -> Act:
        new = job(queue=queue, priority=priority, delay_ms=delay, unique=unique, max_attempts=most)

        def in_model(model: Model) -> None:
            model.put(-1, self.now, queue=queue, priority=priority, delay=delay, unique=unique, most=most)

        return Act("put", lambda: int(self.workers[0].put([new])[0]), in_model)

    def reserving(self, worker: int, limit: int) -> Act:
        def real() -> list[Held]:
            leases = self.workers[worker].reserve(limit, f"w{worker}")
            self.leases += leases
            for lease in leases:
                assert lease.token > self.tokens.get(int(lease.job.id), 0), "a token came twice"
                self.tokens[int(lease.job.id)] = lease.token
                assert lease.job.attempt >= 1
            return [held(lease) for lease in leases]

        def in_model(model: Model) -> list[Held]:
            return model.reserve(QUEUES[worker], limit, self.now)

        return Act(f"w{worker} reserves {limit}", real, in_model, rows_apart=True)

    def settling(self, worker: int, lease: Lease, how: str) -> Act:
        decision = decide(lease.job, ENDINGS[how], lambda: 0.5)
        return Act(
            f"w{worker}: {held(lease)} {how}: {decision}",
            lambda: self.workers[worker].settle(lease, decision, ENDINGS[how]),
            lambda model: model.settle(held(lease), decision, self.now),
        )

    def settling_many(self, worker: int, leases: list[Lease], how: str) -> Act:
        decisions: list[tuple[Lease, Decision]] = [
            (lease, decide(lease.job, ENDINGS[how], lambda: 0.5)) for lease in leases
        ]
        items = [Settlement(lease, decision, ENDINGS[how]) for lease, decision in decisions]
        return Act(
            f"w{worker}: {len(leases)} at once {how}",
            lambda: self.workers[worker].settle_all(items),
            lambda model: [model.settle(held(lease), decision, self.now) for lease, decision in decisions],
        )

    def renewing(self, worker: int, leases: list[Lease]) -> Act:
        def real() -> tuple[set[Held], set[Held]]:
            renewal = self.workers[worker].renew(leases)
            return {held(lease) for lease in renewal.lost}, {held(lease) for lease in renewal.cancel}

        return Act(f"w{worker} renews", real, lambda model: model.renew([held(each) for each in leases], self.now))

    def ticking(self, worker: int) -> Act:
        def real() -> tuple[int, set[int], set[int], int]:
            done = self.workers[worker].tick()
            return done.promoted, {int(i) for i in done.rescued}, {int(i) for i in done.given_up}, done.pruned

        return Act(f"w{worker} ticks", real, lambda model: model.tick(self.now), rows_apart=True)

    def operating(self, what: str, job_id: int, operator: int = 0) -> Act:
        ledger = self.ledgers[operator]
        operations: dict[str, tuple[Callable[[], Any], Callable[[Model], Any]]] = {
            "cancel": (lambda: ledger.cancel(str(job_id)).value, lambda model: model.cancel(job_id, self.now)),
            "retry": (lambda: ledger.retry(str(job_id)) or "queued", lambda model: model.retry(job_id)),
            "delete": (lambda: ledger.delete(str(job_id)) or "deleted", lambda model: model.delete(job_id)),
        }
        do, in_model = operations[what]

        def real() -> Any:
            try:
                return do()
            except NoSuchJob:
                return "gone"
            except WrongState:
                return "refused"

        return Act(f"{what} {job_id}", real, in_model)

    def meeting(self, what: str, pick: int, seat: int) -> Act:
        """One of those that may meet another in the same moment; on the connections of this seat."""
        job_id, lease = self.a_job(pick), self.a_lease(pick)
        if what in ("cancel", "retry", "delete") and job_id:
            return self.operating(what, job_id, seat)
        if what == "renew" and lease:
            return self.renewing(seat, [lease])
        if what in ENDINGS and lease:
            return self.settling(seat, lease, what)
        return self.ticking(seat) if what == "tick" else self.reserving(seat, pick % 3 + 1)

    def do(self, act: Act) -> None:
        note(act.name)
        told = act.real()
        expected = act.model(self.model)
        assert told == expected, f"{act.name}: {told}, not {expected}"

    # -- the rules --------------------------------------------------------------------------------------------

    @initialize(most=st.lists(st.integers(1, 3), min_size=2, max_size=4))
    def there_are_jobs(self, most: list[int]) -> None:
        for number in most:
            self.put("default", 0, 0, None, number)

    @rule(what=WORK, worker=WORKER, pick=PICK, how=HOW)
    def work(self, what: str, worker: int, pick: int, how: str) -> None:
        """A rule for each kind of step would have hypothesis leave most of them out of most examples."""
        if what == "reserve":
            self.do(self.reserving(worker, pick % 4 + 1))
        elif what == "tick":
            self.do(self.ticking(worker))
        elif what == "time passes":
            self.at.clock.advance(SPANS[pick % len(SPANS)])
        elif what == "sleep":
            self.sleep_past_the_lease(worker, pick, how)
        elif lease := self.a_lease(pick):
            self.work_on(lease, what, worker, pick, how)

    def work_on(self, lease: Lease, what: str, worker: int, pick: int, how: str) -> None:
        """Now or long after: the lease may be lost, and one that was settled may be settled again."""
        more = {held(each): each for each in (lease, self.a_lease(pick + 1), self.a_lease(pick + 2)) if each}
        if what == "settle":
            self.do(self.settling(worker, lease, how))
        elif what == "settle many":
            self.do(self.settling_many(worker, [more[each] for each in sorted(more, key=lambda each: each.id)], how))
        elif what == "renew":
            self.do(self.renewing(worker, list(more.values())))
        elif what == "begin":
            self.workers[worker].began(lease)
            self.model.begin(held(lease))
        else:
            self.workers[worker].progress(lease, Progress(1, 2, "half"))

    def sleep_past_the_lease(self, worker: int, pick: int, how: str) -> None:
        """Another one has the job by now; then the first wakes up, and says how it ended."""
        self.do(self.reserving(worker, 2))
        lease = self.a_lease(pick)
        self.at.clock.advance(LEASE)
        self.do(self.ticking(worker))
        self.do(self.reserving((worker + 1) % 3, 4))
        self.at.clock.advance(1)
        if lease:
            self.do(self.renewing(worker, [lease]))
            self.do(self.settling(worker, lease, how))

    @rule(
        queue=st.sampled_from(["default", "mail"]),
        priority=st.sampled_from([-10, 0, 0, 10]),
        delay=st.sampled_from([0, 0, 0, 1, LEASE // 2, 2 * LEASE]),
        unique=KEYS,
        most=st.integers(1, 3),
    )
    def put(self, queue: str, priority: int, delay: int, unique: str | None, most: int) -> None:
        act = self.putting(queue, priority, delay, unique, most)
        holder = self.model.holder(queue, unique) if unique is not None else None
        job_id = act.real()
        if holder is not None:
            assert job_id == holder, "a unique job is there once"
            return
        assert job_id not in self.model.rows
        act.model(self.model)
        row = self.model.rows.pop(-1)
        row.id = job_id
        self.model.rows[job_id] = row

    @rule(what=OPERATIONS, pick=PICK, queue=st.sampled_from(["default", "mail"]))
    def operate(self, what: str, pick: int, queue: str) -> None:
        if what == "retry all":
            self.retry_all_that_failed()
        elif what == "pause":
            self.pause_or_resume(queue)
        elif what == "purge":
            assert self.at.ledger.purge(queue) == self.model.purge(queue)
        elif job_id := self.a_job(pick):
            self.do(self.operating(what, job_id))

    def retry_all_that_failed(self) -> None:
        failed = [row.id for row in self.model.rows.values() if row.status is Status.FAILED]
        told = self.at.ledger.retry_failed()
        plain = [i for i in failed if self.model.rows[i].unique_key is None]
        unique = [i for i in sorted(failed) if self.model.rows[i].unique_key is not None]
        done = [i for i in [*sorted(plain), *unique] if self.model.retry(i) == "queued"]
        assert sorted(map(int, told.ids)) == sorted(done)
        assert len(told.refused) == len(failed) - len(done)

    def pause_or_resume(self, queue: str) -> None:
        if queue in self.model.paused:
            self.at.ledger.resume(queue)
            self.model.paused.discard(queue)
        else:
            self.at.ledger.pause(queue)
            self.model.paused.add(queue)

    @rule(one=MEETING, other=MEETING, pick=PICK, same=st.booleans())
    def two_at_once(self, one: str, other: str, pick: int, same: bool) -> None:
        """In the same moment, on two connections: it comes out as if one had been first."""
        first, second = self.meeting(one, pick, 0), self.meeting(other, pick if same else pick + 1, 1)
        note(f"at once: {first.name} | {second.name}")
        told = at_once(first.real, second.real)
        table = self.table()
        possible = []
        for order in ((first, second), (second, first)):
            model = self.model.copy()
            expected = {id(act): act.model(model) for act in order}
            if model.seen() == table and [expected[id(first)], expected[id(second)]] == told:
                self.model = model
                return
            possible.append(model)
        assert first.rows_apart or second.rows_apart, f"{told}, {table}; possible: {[m.seen() for m in possible]}"
        self.each_row_as_if_one_had_been_first(first, second, possible, table)

    def each_row_as_if_one_had_been_first(
        self, first: Act, second: Act, possible: list[Model], table: dict[int, tuple[object, ...]]
    ) -> None:
        """Of changes that are a statement for each row, or step over rows that are locked."""
        for act in (first, second):
            model = self.model.copy()
            act.model(model)
            possible.append(model)
        possible.append(self.model)
        for job_id in self.model.rows:
            allowed = {model.seen().get(job_id) for model in possible}
            for model in possible:
                reserved = model.copy()
                reserved.paused.clear()
                reserved.reserve(("default", "mail"), len(reserved.rows), self.now)
                for began in (True, False):
                    if job_id in reserved.rows:
                        reserved.rows[job_id].began = began
                        allowed.add(reserved.seen()[job_id])
            assert table.get(job_id) in allowed, f"job {job_id}: {table.get(job_id)}, not one of {allowed}"
        self.model.follow(self.rows())

    # -- what always holds ------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        self.looking.execute(f"SELECT {COLUMNS} FROM {self.at.site.jobs}")
        rows: Any = self.looking.fetchall()
        return [row if isinstance(row, dict) else dict(zip(COLUMNS.split(", "), row, strict=True)) for row in rows]

    def table(self) -> dict[int, tuple[object, ...]]:
        return seen(self.rows())

    @invariant()
    def the_table_is_what_the_model_says(self) -> None:
        type(self).steps += 1
        rows = self.rows()
        assert seen(rows) == self.model.seen()
        live = {(lease.job.id, lease.token) for lease in self.leases}
        for row in rows:
            if row["status"] == "running":
                assert (str(row["id"]), row["lease_token"]) in live, "it runs, and nobody was given it"
            assert row["attempts"] <= row["max_attempts"], "more runs than it may have"
            assert row["lease_token"] >= self.tokens.get(row["id"], 0), "a token went back"
            if Status(row["status"]).finished:
                assert row["unique_hash"] is None
            if row["history"]:
                assert isinstance(json.loads(row["history"]), list)


def seen(rows: list[dict[str, Any]]) -> dict[int, tuple[object, ...]]:
    """As `Model.seen`."""
    return {
        row["id"]: (
            row["status"],
            row["attempts"],
            row["lease_token"],
            row["due_at"],
            (bool(row["cancel_requested"]), row["started_at"] is not None) if row["status"] == "running" else None,
            row["unique_hash"] is not None,
        )
        for row in rows
    }


def held(lease: Lease) -> Held:
    return Held(int(lease.job.id), lease.token)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["maria", "maria-by-compare-and-swap", "sqlite"])
def test_every_order_of_changes(kind: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue("sqlite_site" if kind == "sqlite" else "mariadb_site")

    class Here(Leases):
        skip_lock = kind == "maria-by-compare-and-swap"

        @staticmethod
        def bench(stack: ExitStack) -> DatabaseBench:
            return DatabaseBench(site, stack)

    run_state_machine_as_test(
        seed(SEED)(Here),
        settings=settings(
            max_examples=max(1, STEPS // PER_EXAMPLE),
            stateful_step_count=PER_EXAMPLE,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{kind}: {Here.steps} steps, seed {SEED}")
    assert Here.steps >= STEPS * 3 // 4, "hypothesis drew many examples twice: take another seed, or more steps"
