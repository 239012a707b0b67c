"""What the database has to do with adding a job: unique keys, transactions, refusals."""

from __future__ import annotations

import pytest

from tests.integration.enqueuing import CALLBACKS, JOB, answer, count
from tests.support.cable import Cable
from tests.support.process import WorkerProcess
from tests.support.site import Site


def test_inside_a_transaction_the_job_is_part_of_it(enqueuing: Site) -> None:
    """A unique key that is taken does not undo what the caller has done so far."""
    rolled_back, kept = answer(
        enqueuing,
        f"""
        $add = function () {{
            return array( add_async_job( {JOB}, 'q' ), add_async_job( {JOB}, 'q', array( 'unique' => 'k' ) ),
                add_async_job( {JOB}, 'q', array( 'unique' => 'k' ) ) );
        }};
        $wpdb->query( 'START TRANSACTION' );
        $add();
        $wpdb->query( 'ROLLBACK' );
        $rolled_back = (int) $wpdb->get_var( "SELECT count(*) FROM $table" );
        $wpdb->query( 'START TRANSACTION' );
        $ids = $add();
        $wpdb->query( 'COMMIT' );
        $answer = array( $rolled_back, $ids )""",
    )
    assert rolled_back == 0
    assert kept[1] == kept[2]
    rows = enqueuing.query(f"SELECT id FROM {enqueuing.jobs} ORDER BY id")
    assert [str(row["id"]) for row in rows] == kept[:2]


def test_a_refusing_database_gives_its_reason_and_prints_nothing(enqueuing: Site) -> None:
    one, unique, many, shown = answer(
        enqueuing,
        f"""
        ini_set( 'display_errors', '1' );
        $wpdb->show_errors();
        $left = 0;
        add_filter( 'query', function ( $sql ) use ( $table, &$left ) {{
            if ( 0 !== strpos( $sql, 'INSERT' ) || $left-- > 0 ) {{ return $sql; }}
            return str_replace( "INTO $table", 'INTO no_such_table', $sql );
        }} );
        $many = function () use ( &$left ) {{
            $left = 1;
            return add_async_jobs( array_fill( 0, 1300, {JOB} ) );
        }};
        $answer = array( told( add_async_job( {JOB} ) ), told( add_async_job( {JOB}, 'q', array( 'unique' => 'k' ) ) ),
            told( $many() ), $wpdb->suppress_errors() )""",
    )
    for error in (one, unique, many):
        assert "no_such_table" in error["message"]
        assert "\n" not in error["message"] and "<" not in error["message"]
    assert (many["index"], len(many["ids"])) == (1000, 1000)
    assert shown is False, "errors of other code are shown as before"
    assert count(enqueuing) == 1000


def test_more_than_the_server_takes_is_refused_with_both_sizes(maria71: Site) -> None:
    maria71.mu_plugin("callbacks", CALLBACKS)
    told = answer(
        maria71,
        "$job = array( 'function' => 'a_callback', 'user_data' => str_repeat( 'x', 17000000 ) );"
        "$answer = told( add_async_job( $job ) )",
    )
    assert "max_allowed_packet" in told["message"]
    assert count(maria71) == 0


def test_many_with_long_names_fit_a_server_of_small_packets(maria71: Site) -> None:
    """Each of them is small, so none may be refused for the size of all."""
    assert maria71.server is not None
    maria71.mu_plugin("callbacks", CALLBACKS)
    (before,) = maria71.server.execute("SELECT @@GLOBAL.max_allowed_packet AS size")
    maria71.server.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        ids = answer(
            maria71,
            r"""
            $name = 'f' . str_repeat( 'é', 85 );
            eval( "function $name( \$data ) {}" );
            $options = array( 'batch' => str_repeat( 'b', 64 ), 'delay' => 3600 );
            $jobs = array_fill( 0, 2500, array( 'function' => $name, 'user_data' => str_repeat( "'", 100 ) ) );
            $answer = told( add_async_jobs( $jobs, str_repeat( 'q', 60 ), $options ) )""",
        )
    finally:
        maria71.server.execute("SET GLOBAL max_allowed_packet = %s", (before["size"],))
    assert len(ids) == count(maria71) == 2500, ids


def test_a_lost_connection_is_made_anew(maria71: Site) -> None:
    maria71.mu_plugin("callbacks", CALLBACKS)
    job = answer(
        maria71,
        f"""
        list( $host, $port ) = explode( ':', DB_HOST );
        $other = new mysqli( $host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port );
        $other->query( 'KILL ' . $wpdb->get_var( 'SELECT connection_id()' ) );
        $answer = add_async_job( {JOB} )""",
    )
    assert maria71.job(job)["status"] == "queued"


class LosesAnAnswer(Cable):
    """Once, what the server answers to the insertion of a job is lost with the connection."""

    lost = 0
    _asked = False

    def _lets_pass(self, data: bytes, answers: bool) -> bool:
        if not answers:
            self._asked = b"INSERT INTO `wp_bg_jobs`" in data or b"INSERT INTO wp_bg_jobs" in data
        elif self._asked and not self.lost:
            self.lost += 1
            return False
        return True


@pytest.mark.parametrize(
    ("adding", "jobs"),
    [(f"add_async_job( {JOB} )", 1), (f"add_async_jobs( array_fill( 0, 3, {JOB} ), 'q', array( 'delay' => 9 ) )", 3)],
    ids=["one", "three"],
)
def test_a_job_whose_answer_was_lost_is_in_the_table_once(maria71: Site, adding: str, jobs: int) -> None:
    """WordPress connects anew and says the statement again, which the server had carried out. A job just like it, of
    another request, stays."""
    maria71.mu_plugin("callbacks", CALLBACKS)
    maria71.enqueue("a_callback", 1)
    assert maria71.server is not None
    cable = LosesAnAnswer((maria71.server.host, maria71.server.port))
    try:
        maria71.configure(DB_HOST=f"{cable.host}:{cable.port}")
        ids = answer(maria71, f"$answer = (array) {adding}")
    finally:
        cable.close()
    assert cable.lost == 1
    assert [str(row["id"]) for row in maria71.query(f"SELECT id FROM {maria71.jobs} WHERE id > 1 ORDER BY id")] == ids
    assert (len(ids), count(maria71)) == (jobs, 1 + jobs)


def test_unique_means_one_unfinished_job_per_key_and_queue(enqueuing: Site) -> None:
    first = enqueuing.enqueue("a_callback", 1, "q", unique="clé")
    assert enqueuing.enqueue("a_callback", 2, "q", unique="clé") == first
    other = enqueuing.enqueue("a_callback", 3, "r", unique="clé")
    assert other != first
    assert answer(enqueuing, f"$answer = add_async_jobs( array( {JOB}, {JOB} ), 'q', array( 'unique' => 'clé' ) )") == [
        first,
        first,
    ]
    enqueuing.query(
        f"UPDATE {enqueuing.jobs} SET status = 'completed', unique_hash = NULL WHERE id = %s", (int(first),)
    )
    assert enqueuing.enqueue("a_callback", 4, "q", unique="clé") not in (first, other)
    assert count(enqueuing) == 3


def test_processes_that_race_for_unique_keys_agree(enqueuing: Site) -> None:
    """Each waits for the others, then all add the same keys; some jobs finish while they do."""
    start = enqueuing.folder / "start"
    start.unlink(missing_ok=True)
    code = f"""
        echo "ready\\n"; flush();
        while ( ! file_exists( '{start}' ) ) {{ usleep( 1000 ); clearstatcache(); }}
        global $wpdb; $ids = array();
        for ( $i = 0; $i < 60; $i++ ) {{
            $id = add_async_job( {JOB}, 'q', array( 'unique' => "key $i" ) );
            $ids[] = is_wp_error( $id ) ? $id->get_error_message() : $id;
            if ( $i >= 40 && ! is_wp_error( $id ) ) {{
                $wpdb->query( "UPDATE {enqueuing.jobs} SET unique_hash = NULL, status = 'completed' WHERE id = $id" );
            }}
        }}
        echo implode( ' ', $ids ), "\\n";"""
    script = enqueuing.folder / "race.php"
    script.write_text(f"<?php\n{code}")
    argv = [*enqueuing.wp_argv, f"--path={enqueuing.path}", "eval-file", str(script)]
    racers: list[WorkerProcess] = [enqueuing.start(argv) for _ in range(3)]
    for racer in racers:
        racer.wait_for_line("ready")
    start.touch()
    assert [racer.wait() for racer in racers] == [0, 0, 0]
    told = [racer.stdout_lines[-1].split(" ") for racer in racers]
    assert all(id.isdigit() for ids in told for id in ids), told
    assert told[0][:40] == told[1][:40] == told[2][:40]
    keys = enqueuing.query(
        f"SELECT count(*) AS n FROM {enqueuing.jobs} WHERE unique_hash IS NOT NULL GROUP BY unique_key"
    )
    assert [row["n"] for row in keys] == [1] * 40


def test_a_race_for_a_unique_key_that_is_lost_at_the_last_moment(maria71: Site) -> None:
    """The other process commits between our look and our INSERT, unseen by the snapshot of our transaction."""
    maria71.mu_plugin("callbacks", CALLBACKS)
    ours, theirs = answer(
        maria71,
        f"""
        list( $host, $port ) = explode( ':', DB_HOST );
        $other = new mysqli( $host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port );
        add_filter( 'query', function ( $sql ) use ( $other, $table ) {{
            if ( 0 === strpos( $sql, 'INSERT' ) && ! $other->insert_id ) {{
                $hash = hash( 'sha256', "q\\0key" );
                $other->query( "INSERT INTO $table (queue, payload, unique_hash) VALUES ('q', 'x', '$hash')" );
            }}
            return $sql;
        }} );
        $wpdb->query( 'START TRANSACTION' );
        $wpdb->get_var( "SELECT count(*) FROM $table" );
        $ours = add_async_job( {JOB}, 'q', array( 'unique' => 'key' ) );
        $wpdb->query( 'COMMIT' );
        $answer = array( $ours, (string) $other->insert_id )""",
    )
    assert ours == theirs
    assert count(maria71) == 1
