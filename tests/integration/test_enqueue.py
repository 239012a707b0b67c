"""The plugin's public functions: what they refuse, and what they write."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.integration.enqueuing import CALLBACKS, JOB, answer, count
from tests.support.site import Site


def _calling(function: str, data: str = "1") -> str:
    return f"add_async_job( (object) array( 'function' => {function}, 'user_data' => {data} ) )"


def _with(options: str) -> str:
    return f"add_async_job( {JOB}, 'q', array( {options} ) )"


REFUSED = {
    # What the job is
    "add_async_job( null )": "job",
    "add_async_job( 'a_callback' )": "job",
    "add_async_job( function () {} )": "job",
    "add_async_job( (object) array( 'user_data' => 1 ) )": "function",
    "add_async_job( array() )": "function",
    # What it calls
    _calling("''"): "function",
    _calling("5"): "function",
    _calling("'no_such_function'"): "function",
    _calling("'not a name!'"): "function",
    _calling("'A_Class::missing'"): "function",
    _calling("'A_Class::hidden'"): "function",
    _calling("array( 'No_Such_Class', 'method' )"): "function",
    _calling("array( new A_Class(), 'hidden' )"): "function",
    _calling("array( 'A_Class' )"): "function",
    _calling("new Not_Invokable()"): "function",
    _calling("function () {}"): "function",
    _calling("array( function () {}, '__invoke' )"): "function",
    _calling("Closure::fromCallable( 'strlen' )"): "function",
    _calling("array( new class() { public function m() {} }, 'm' )"): "function",
    _calling("array( closure_inside(), 'method' )"): "function",
    # What it gets
    _calling("'a_callback'", "function () {}"): "user_data",
    _calling("'a_callback'", "array( 1, array( closure_inside() ) )"): "user_data",
    _calling("'a_callback'", "new PDO( 'sqlite::memory:' )"): "user_data",
    _calling("'a_callback'", "new Refuses()"): "user_data",
    _calling("'a_callback'", "fopen( 'php://memory', 'r' )"): "user_data",
    _calling("'a_callback'", "array( 'f' => fopen( 'php://memory', 'r' ) )"): "user_data",
    # Options
    _with("'delay' => -5"): "delay",
    _with("'delay' => 'soon'"): "delay",
    _with("'delay' => INF"): "delay",
    _with("'delay' => NAN"): "delay",
    _with("'delay' => true"): "delay",
    _with("'delay' => 1, 'run_at' => 2000000000"): "run_at",
    _with("'run_at' => -1"): "run_at",
    _with("'run_at' => 'tomorrow'"): "run_at",
    _with("'run_at' => 2000000000000"): "run_at",
    _with("'priority' => 'hihg'"): "priority",
    _with("'priority' => 1.5"): "priority",
    _with("'priority' => 3000000000"): "priority",
    _with("'max_attempts' => 0"): "max_attempts",
    _with("'max_attempts' => 1001"): "max_attempts",
    _with("'max_attempts' => 2.5"): "max_attempts",
    _with("'backoff' => -1"): "backoff",
    _with("'backoff' => 86401"): "backoff",
    _with("'timeout' => 0"): "timeout",
    _with("'timeout' => 86401"): "timeout",
    _with("'unique' => ''"): "unique",
    _with("'unique' => 7"): "unique",
    _with("'unique' => str_repeat( 'ü', 192 )"): "unique",
    _with("'batch' => ''"): "batch",
    _with("'batch' => array()"): "batch",
    _with("'batch' => \"\\xff\""): "batch",
    _with("'prioirty' => 'high'"): "prioirty",
    _with("'retries' => null"): "retries",
    _with("'high'"): "0",
    f"add_async_job( {JOB}, 'q', 'high' )": "options",
    # The queue
    f"add_async_job( {JOB}, '' )": "queue",
    f"add_async_job( {JOB}, ' ' )": "queue",
    f"add_async_job( {JOB}, null )": "queue",
    f"add_async_job( {JOB}, array() )": "queue",
    f"add_async_job( {JOB}, str_repeat( 'x', 192 ) )": "queue",
    f'add_async_job( {JOB}, "two\\nlines" )': "queue",
    f'add_async_job( {JOB}, "\\xff" )': "queue",
    # The others take the same
    f"add_async_jobs( array( {JOB} ), '' )": "queue",
    f"add_async_jobs( array( {JOB} ), 'q', array( 'delay' => -1 ) )": "delay",
    "add_async_jobs( 'jobs' )": "jobs",
    "wp_background_add_job( array() )": "function",
}


def test_bad_arguments_name_their_field_and_write_nothing(enqueuing: Site) -> None:
    calls = ", ".join(f"told( {call} )" for call in REFUSED)
    told = answer(enqueuing, f"$answer = array( {calls} )")
    fields = {
        call: error.get("field") if isinstance(error, dict) else error
        for call, error in zip(REFUSED, told, strict=True)
    }
    assert fields == REFUSED
    assert all(error["message"].startswith(f"{error['field']}: ") for error in told)
    assert count(enqueuing) == 0


def test_unknown_options_get_the_nearest_name(enqueuing: Site) -> None:
    wrong = {"prioirty": "priority", "dealy": "delay", "max_attempt": "max_attempts", "runat": "run_at"}
    calls = ", ".join("told( " + _with(f"'{name}' => 1") + " )" for name in wrong)
    told = answer(enqueuing, f"$answer = array( {calls} )")
    assert [re.search(r"did you mean (\w+)\?", error["message"]).group(1) for error in told] == [*wrong.values()]  # type: ignore[union-attr]


def test_options_become_columns(enqueuing: Site) -> None:
    name = "bätch 😀 ' \" \\ %s %%"
    job = enqueuing.enqueue(
        "a_callback", 1, "quéue '\\ %d", priority="high", max_attempts=7, backoff=0, timeout=60, batch=name, unique=name
    )
    row = enqueuing.job(job)
    assert {key: row[key] for key in ("queue", "status", "priority", "max_attempts", "backoff", "timeout")} == {
        "queue": "quéue '\\ %d",
        "status": "queued",
        "priority": -10,
        "max_attempts": 7,
        "backoff": 0,
        "timeout": 60,
    }
    assert (row["batch"], row["unique_key"], row["callback"], row["blog_id"]) == (name, name, "a_callback", 1)
    assert (row["attempts"], row["due_at"]) == (0, 0)


@pytest.mark.parametrize("text", ["back\\slash", "ends in \\", "it's", "\\' OR 1=1", "100% %s", "plain"])
def test_text_that_sql_could_take_for_its_own_arrives(enqueuing: Site, text: str) -> None:
    row = enqueuing.job(enqueuing.enqueue("a_callback", text, text, batch=text, unique=text))
    assert (row["queue"], row["batch"], row["unique_key"]) == (text, text, text)
    assert f's:{len(text)}:"{text}";'.encode() in row["payload"]


def test_defaults(enqueuing: Site) -> None:
    row = enqueuing.job(enqueuing.enqueue("a_callback", timeout=None))
    assert (row["queue"], row["priority"], row["max_attempts"], row["backoff"]) == ("default", 0, 3, 30)
    assert [row[key] for key in ("timeout", "batch", "unique_key", "unique_hash")] == [None] * 4


@pytest.mark.parametrize(("given", "number"), [("low", 10), ("normal", 0), ("High", -10), (-7, -7), ("12", 12)])
def test_priorities(enqueuing: Site, given: Any, number: int) -> None:
    assert enqueuing.job(enqueuing.enqueue("a_callback", priority=given))["priority"] == number


def test_times(enqueuing: Site) -> None:
    """Now, by either clock, is between the two looks at it; what is due later is due so much later."""
    told = answer(
        enqueuing,
        f"""
        $before = (int) floor( microtime( true ) * 1000 );
        $ids = array();
        foreach ( array( array(), array( 'delay' => 90 ), array( 'delay' => '0.5' ), array( 'delay' => 0 ),
            array( 'run_at' => time() - 100 ), array( 'run_at' => 4000000000.25 ) ) as $options ) {{
            $ids[] = add_async_job( {JOB}, 'q', $options );
        }}
        $answer = array( $ids, $before, (int) ceil( microtime( true ) * 1000 ) )""",
    )
    ids, before, after = told
    rows = [enqueuing.job(job) for job in ids]
    assert [row["status"] for row in rows] == ["queued", "delayed", "delayed", "queued", "queued", "delayed"]
    for row, delay in zip(rows[:5], (0, 90_000, 500, 0, 0), strict=True):
        assert before + delay <= row["available_at"] <= after + delay
        assert row["due_at"] == (row["available_at"] if delay else 0)
    assert rows[5]["due_at"] == rows[5]["available_at"] == 4_000_000_000_250


def test_callbacks_have_a_label(enqueuing: Site) -> None:
    functions = {
        "'a_callback'": "a_callback",
        "'\\\\a_callback'": "a_callback",
        "'A_Class::fixed'": "A_Class::fixed",
        "array( 'A_Class', 'fixed' )": "A_Class::fixed",
        "array( new A_Class(), 'method' )": "A_Class->method",
        "new A_Class()": "A_Class",
    }
    ids = answer(enqueuing, f"$answer = array( {', '.join(_calling(f) for f in functions)} )")
    assert [enqueuing.job(job)["callback"] for job in ids] == [*functions.values()]


def test_payload_is_what_serialize_writes_byte_for_byte(enqueuing: Site) -> None:
    job, payload = answer(
        enqueuing,
        """
        $object = new A_Class();
        $object->open = $object;
        $list = array( 'one' => 1 );
        $list['same'] = &$list['one'];
        $kept = new SplObjectStorage();
        $kept[ $object ] = INF;
        $job = new stdClass();
        $job->function = 'a_callback';
        $job->user_data = array( $object, $list, $kept, -0.0, 0.1 + 0.2, "\\0\\x1a\\r\\n 100% %s '\\\\\\"", '😀',
            implode( '', array_map( 'chr', range( 0, 255 ) ) ) );
        $answer = array( add_async_job( $job ), bin2hex( serialize( $job ) ) )""",
    )
    assert bytes(enqueuing.job(job)["payload"]) == bytes.fromhex(payload)


def test_a_hook_is_fired_by_name(enqueuing: Site) -> None:
    told = answer(
        enqueuing,
        """$answer = array( wp_async_task_add( 'my_hook', array( 'a' => 1 ), 'high' ), wp_async_task_add( 'my_hook' ),
            wp_async_task_add( '' ), wp_async_task_add( null ), wp_async_task_add( 'my_hook', array(), 'urgent' ),
            wp_async_task_add( 'my_hook', function () {} ) )""",
    )
    assert told == [True, True, False, False, False, False]
    rows = enqueuing.query(f"SELECT callback, priority, queue, payload FROM {enqueuing.jobs} ORDER BY id")
    assert [(row["callback"], row["priority"], row["queue"]) for row in rows] == [
        ("my_hook", -10, "default"),
        ("my_hook", 0, "default"),
    ]
    assert (
        bytes(rows[0]["payload"]) == b'O:8:"stdClass":2:{s:4:"hook";s:7:"my_hook";s:9:"user_data";a:1:{s:1:"a";i:1;}}'
    )


def test_filters_and_actions(enqueuing: Site) -> None:
    ids, seen = answer(
        enqueuing,
        f"""
        $seen = array();
        add_filter( 'background_worker_job_options', function ( $defaults, $queue ) {{
            return 'mail' === $queue ? array( 'max_attempts' => 9, 'delay' => 60 ) + $defaults : $defaults; }}, 10, 2 );
        add_filter( 'background_worker_callback_exists', function ( $exists, $callback ) {{
            return $exists || 'only_in_the_worker' === $callback; }}, 10, 2 );
        add_action( 'background_worker_job_added', function ( $id, $job, $queue ) use ( &$seen ) {{
            $seen[] = array( $id, $job->callback, $queue ); }}, 10, 3 );
        add_action( 'background_worker_jobs_added', function ( $ids, $queue ) use ( &$seen ) {{
            $seen[] = array( $ids, $queue ); }}, 10, 2 );
        add_action( 'background_worker_add_failed', function ( $error ) use ( &$seen ) {{
            $seen[] = $error->get_error_data()['field']; }} );
        $ids = array( add_async_job( {JOB}, 'mail' ), add_async_job( {JOB}, 'mail', array( 'run_at' => 4000000000 ) ),
            add_async_job( array( 'function' => 'only_in_the_worker' ) ) );
        $ids[] = add_async_job( {JOB}, 'q', array( 'unique' => 'k' ) );
        add_async_job( {JOB}, 'q', array( 'unique' => 'k' ) );
        $ids[] = add_async_jobs( array( {JOB}, {JOB} ), 'bulk' );
        wp_async_task_add( '' );
        $answer = array( $ids, $seen )""",
    )
    assert [(enqueuing.job(job)["max_attempts"], enqueuing.job(job)["status"]) for job in ids[:3]] == [
        (9, "delayed"),
        (9, "delayed"),
        (3, "queued"),
    ]
    assert enqueuing.job(ids[1])["due_at"] == 4_000_000_000_000
    assert seen == [
        [ids[0], "a_callback", "mail"],
        [ids[1], "a_callback", "mail"],
        [ids[2], "only_in_the_worker", "default"],
        [ids[3], "a_callback", "q"],
        [ids[4], "bulk"],
        "hook",
    ]


def test_outside_of_a_worker_there_is_no_job(enqueuing: Site) -> None:
    assert answer(enqueuing, "$answer = array( background_job(), background_job_progress( 1, 2, 'x' ) )") == [
        None,
        False,
    ]


def test_a_site_s_own_constant_names_the_queue(maria71: Site) -> None:
    maria71.mu_plugin("callbacks", CALLBACKS)
    maria71.configure(ABW_QUEUE_NAME="ours")
    ids = answer(
        maria71,
        f"$answer = array( add_async_job( {JOB} ), add_async_jobs( array( {JOB} ) )[0] ); wp_async_task_add( 'h' )",
    )
    assert [maria71.job(job)["queue"] for job in (*ids, str(int(ids[1]) + 1))] == ["ours"] * 3


def test_a_job_belongs_to_the_blog_that_adds_it(multisite: Site) -> None:
    multisite.mu_plugin("callbacks", CALLBACKS)
    ids = answer(
        multisite,
        f"$a = add_async_job( {JOB} ); switch_to_blog( 2 ); $b = add_async_job( {JOB} ); $answer = array( $a, $b )",
    )
    ids.append(multisite.enqueue("a_callback", url=f"{multisite.url}/three/"))
    assert [multisite.job(job)["blog_id"] for job in ids] == [1, 2, 3]


def test_the_tests_know_every_option(enqueuing: Site) -> None:
    known = answer(enqueuing, "$answer = array_keys( Background_Worker\\Job_Options::DEFAULTS )")
    assert set(known) <= {*REFUSED.values()}
