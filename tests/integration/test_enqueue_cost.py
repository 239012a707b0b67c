"""What adding jobs asks of the database and of WordPress: no more than it needs, and nothing twice."""

from __future__ import annotations

from tests.integration.enqueuing import CALLBACKS, JOB, answer, count
from tests.support.site import Site


def test_a_job_is_one_statement_that_everybody_sees(enqueuing: Site) -> None:
    """Also where it is not WordPress's connection that is asked: counted, filtered and kept for who debugs a site."""
    told = answer(
        enqueuing,
        f"""
        define( 'SAVEQUERIES', true );
        add_async_job( {JOB} );
        $seen = array();
        add_filter( 'query', function ( $sql ) use ( &$seen ) {{ $seen[] = $sql; return $sql; }} );
        $wpdb->queries = array();
        $before = $wpdb->num_queries;
        foreach ( array( 1, 2, 3 ) as $number ) {{ add_async_job( {JOB} ); }}
        $answer = array( $wpdb->num_queries - $before, $seen, array_column( $wpdb->queries, 0 ) )""",
    )
    asked, seen, kept = told
    assert asked == 3
    assert seen == kept and len(seen) == 3
    assert all(sql.startswith("INSERT INTO wp_bg_jobs ") for sql in seen)


def test_what_a_request_knows_is_not_asked_again(enqueuing: Site) -> None:
    """The version of the tables is an option with a dozen filters around it; the doorbell's place is made of salts."""
    asked = answer(
        enqueuing,
        f"""
        add_async_job( {JOB} );
        $asked = array( 'option' => 0, 'salt' => 0 );
        $option = 'pre_site_option_ABW_DB_VERSION';
        add_filter( $option, function ( $v ) use ( &$asked ) {{ $asked['option']++; return $v; }} );
        add_filter( 'salt', function ( $v ) use ( &$asked ) {{ $asked['salt']++; return $v; }} );
        foreach ( array( 1, 2, 3 ) as $number ) {{ add_async_job( {JOB} ); }}
        add_async_jobs( array( {JOB} ) );
        $answer = $asked""",
    )
    assert asked == {"option": 0, "salt": 0}


def test_a_request_loads_what_it_adds_a_job_with(enqueuing: Site) -> None:
    """Most requests add one job: each class more is a file more to find and read."""
    loaded = answer(
        enqueuing,
        f"""
        $before = get_declared_classes();
        add_async_job( {JOB} );
        $answer = array_values( array_diff( get_declared_classes(), $before ) )""",
    )
    needed = {"Callback", "Database", "Enqueuer", "Intake", "Job_Options", "Job_Row", "Job_Writer", "Lane", "New_Job"}
    needed |= {"Schema"} | ({"Sqlite_Writer"} if enqueuing.engine == "sqlite" else set())
    assert {name.removeprefix("Background_Worker\\") for name in loaded} <= needed


def test_tables_that_went_are_made_anew_after_the_first_refusal(enqueuing: Site) -> None:
    refused, added = answer(
        enqueuing,
        f"""
        add_async_job( {JOB} );
        $wpdb->query( "DROP TABLE $table" );
        delete_site_option( 'ABW_DB_VERSION' );
        $answer = array( told( add_async_job( {JOB} ) ), add_async_job( {JOB} ) )""",
    )
    assert "bg_jobs" in refused["message"]
    assert enqueuing.job(added)["status"] == "queued"


def test_options_given_again_are_those_that_were_given(enqueuing: Site) -> None:
    """Whoever changes those of one job, changes no other's; and a new filter is heard."""
    one, other, filtered = answer(
        enqueuing,
        f"""
        add_action( 'background_worker_job_added', function ( $id, $job ) {{ $job->options->priority = 99; }}, 10, 2 );
        $ids = array( add_async_job( {JOB} ), add_async_job( {JOB} ) );
        add_filter( 'background_worker_job_options', function ( $all ) {{ return array( 'priority' => 7 ) + $all; }} );
        $ids[] = add_async_job( {JOB} );
        $answer = $ids""",
    )
    assert [enqueuing.job(found)["priority"] for found in (one, other, filtered)] == [0, 0, 7]


def test_on_sqlite_nothing_is_translated(sqlite71: Site) -> None:
    """The drop-in takes what goes through $wpdb for MySQL's, and reads it token by token: 250 µs for each row."""
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    before, after = answer(
        sqlite71,
        f"""
        $wpdb->query( 'SELECT 1' );
        $before = $wpdb->get_driver()->get_last_mysql_query();
        $bad = is_wp_error( add_async_job( {JOB} ) ) || is_wp_error( add_async_jobs( array_fill( 0, 500, {JOB} ) ) );
        $answer = array( $before, $bad ? 'refused' : $wpdb->get_driver()->get_last_mysql_query() )""",
    )
    assert before == after == "SELECT 1"
    assert count(sqlite71) == 501


def test_on_sqlite_a_row_is_the_same_where_the_connection_cannot_be_got_at(sqlite71: Site) -> None:
    """A drop-in that hides it: through $wpdb, then."""
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    job = "array( 'function' => 'a_callback', 'user_data' => array( \"\\xff\\0'%s\", 'é' ) )"
    options = "array( 'delay' => 5, 'priority' => 'low', 'timeout' => 9, 'unique' => 'ü' . $n, 'batch' => 'b' )"
    ids = answer(
        sqlite71,
        f"""
        class Hidden {{
            private $driver;
            public function __construct( $driver ) {{ $this->driver = $driver; }}
            public function __call( $name, $given ) {{ return $this->driver->$name( ...$given ); }}
        }}
        $add = function ( $n ) {{
            return array( add_async_job( {job}, 'q', {options} ), ...add_async_jobs( array( {job}, {job} ), 'q' ) );
        }};
        $ids = $add( 1 );
        $driver = $wpdb->dbh;
        ( function () use ( $driver ) {{ $this->dbh = new Hidden( $driver ); }} )->call( $wpdb );
        $ids = array( $ids, $add( 2 ), $wpdb->last_query );
        ( function () use ( $driver ) {{ $this->dbh = $driver; }} )->call( $wpdb );
        $answer = $ids""",
    )
    straight, by_wpdb, last = ids
    assert last.startswith("INSERT INTO wp_bg_jobs ")
    for one, other in zip(straight, by_wpdb, strict=True):
        ours, theirs = sqlite71.job(one), sqlite71.job(other)
        its_own = {"id", "created_datetime", "updated_datetime", "available_at", "due_at", "unique_key", "unique_hash"}
        its_own.add("lease_token")  # Any number: it only goes up from where it began.
        assert {k: v for k, v in ours.items() if k not in its_own} == {
            k: v for k, v in theirs.items() if k not in its_own
        }
        assert {k: type(v) for k, v in ours.items()} == {k: type(v) for k, v in theirs.items()}


def test_on_sqlite_a_chunk_is_written_whole_or_not_at_all(sqlite71: Site) -> None:
    """And what the caller's own transaction has done so far stays, whatever becomes of the jobs."""
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    sqlite71.query(
        f"CREATE TRIGGER no_seven BEFORE INSERT ON {sqlite71.jobs} WHEN instr(new.payload, CAST('i:7;' AS BLOB)) > 0"
        " BEGIN SELECT RAISE(ABORT, 'not seven'); END"
    )
    jobs = "array_map( fn( $n ) => array( 'function' => 'a_callback', 'user_data' => $n ), range( 5, 9 ) )"
    alone, within, kept = answer(
        sqlite71,
        f"""
        $alone = told( add_async_jobs( {jobs} ) );
        $wpdb->query( 'START TRANSACTION' );
        $wpdb->insert( $wpdb->options, array( 'option_name' => 'mine', 'option_value' => 'yes' ) );
        $within = told( add_async_jobs( {jobs} ) );
        $wpdb->query( 'COMMIT' );
        $answer = array( $alone, $within, get_option( 'mine' ) )""",
    )
    for error in (alone, within):
        assert "not seven" in error["message"]
        assert (error["index"], error["ids"]) == (0, [])
    assert count(sqlite71) == 0
    assert kept == "yes"
