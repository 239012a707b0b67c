"""add_async_jobs(): streamed, in order, and exact about what it wrote."""

from __future__ import annotations

import re

from tests.integration.enqueuing import CALLBACKS, JOB, answer, count
from tests.support.site import Site


def test_bulk_ids_are_those_of_the_rows_in_order(enqueuing: Site) -> None:
    ids = answer(
        enqueuing,
        """
        function rows() { for ( $i = 0; $i < 501; $i++ ) {
            yield 'same key' => (object) array( 'function' => 'a_callback', 'user_data' => $i ); } }
        $answer = add_async_jobs( rows(), 'bulk', array( 'batch' => 'b', 'delay' => 5 ) )""",
    )
    rows = enqueuing.query(f"SELECT id, payload, status, batch, queue FROM {enqueuing.jobs} ORDER BY id")
    assert ids == [str(row["id"]) for row in rows]
    numbers = [int(re.search(rb'"user_data";i:(\d+);', bytes(row["payload"])).group(1)) for row in rows]  # type: ignore[union-attr]
    assert numbers == list(range(501))
    assert {(row["status"], row["batch"], row["queue"]) for row in rows} == {("delayed", "b", "bulk")}
    assert answer(enqueuing, "$answer = add_async_jobs( array() )") == []


def test_bulk_takes_no_more_memory_than_a_chunk_and_the_ids(enqueuing: Site) -> None:
    """10,000 jobs of 4 KB are 40 MB; a chunk is a quarter of one."""
    grown, count = answer(
        enqueuing,
        """
        function rows( $n ) { for ( $i = 0; $i < $n; $i++ ) {
            yield array( 'function' => 'a_callback', 'user_data' => str_repeat( chr( 32 + $i % 64 ), 4096 ) ); } }
        add_async_jobs( rows( 500 ) );
        $before = memory_get_peak_usage();
        $ids = add_async_jobs( rows( 10000 ) );
        $answer = array( memory_get_peak_usage() - $before, count( $ids ) )""",
    )
    assert count == 10_000
    assert grown < 8_000_000


def test_bulk_stops_at_a_bad_job_with_all_before_it_written(enqueuing: Site) -> None:
    bad = "array( 'function' => 'no_such_function' )"
    told = answer(
        enqueuing,
        f"$answer = told( add_async_jobs( array_merge( array_fill( 0, 250, {JOB} ), array( {bad}, {JOB} ) ) ) )",
    )
    assert (told["field"], told["index"], len(told["ids"])) == ("function", 250, 250)
    rows = enqueuing.query(f"SELECT id FROM {enqueuing.jobs} ORDER BY id")
    assert [str(row["id"]) for row in rows] == told["ids"]


def test_bulk_tells_what_was_written_when_the_caller_s_generator_throws(enqueuing: Site) -> None:
    told = answer(
        enqueuing,
        f"""
        function rows() {{ yield {JOB}; yield {JOB}; throw new RuntimeException( 'the file ended early' ); }}
        $answer = told( add_async_jobs( rows() ) )""",
    )
    assert "the file ended early" in told["message"]
    assert (told["index"], len(told["ids"])) == (2, 2)
    assert count(enqueuing) == 2


def test_bulk_ids_where_the_server_counts_in_steps(maria71: Site) -> None:
    """Servers that replicate in a circle leave gaps for each other."""
    maria71.mu_plugin("callbacks", CALLBACKS)
    ids = answer(
        maria71,
        "$wpdb->query( 'SET SESSION auto_increment_increment = 7' );"
        f"$answer = add_async_jobs( array_fill( 0, 450, {JOB} ) )",
    )
    rows = maria71.query(f"SELECT id FROM {maria71.jobs} ORDER BY id")
    assert ids == [str(row["id"]) for row in rows]
    assert int(ids[1]) - int(ids[0]) == 7
