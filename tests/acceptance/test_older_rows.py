"""A row that the older plugin wrote, or a person by hand, runs as it always did."""

from __future__ import annotations

from tests.support.site import Site

CALLBACK = """
function function_to_execute_on_background( $data ) {
    echo "Background job executed successfully\\n", $data['data'], "\\n";
}
"""


def _insert_by_hand(site: Site, **columns: object) -> str:
    """Only what the older plugin's table had; the payload is what its documentation shows."""
    payload = site.eval_php(
        "$job = new stdClass();"
        "$job->function = 'function_to_execute_on_background';"
        "$job->user_data = array( 'data' => 'some_data' );"
        "echo serialize( $job );"
    )
    row: dict[str, object] = {"queue": "default", "payload": payload, "attempts": 0, **columns}
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    values = [value.encode() if name == "payload" and isinstance(value, str) else value for name, value in row.items()]
    site.query(f"INSERT INTO {site.jobs} ({names}) VALUES ({marks})", values)
    return str(site.query(f"SELECT max(id) AS id FROM {site.jobs}")[0]["id"])


def test_row_with_queue_payload_and_attempts_runs_and_its_echo_is_in_the_log(site: Site) -> None:
    site.mu_plugin("callback", CALLBACK)
    job = _insert_by_hand(site)
    site.wpbg("listen", "--stop-when-empty", check=True)

    row = site.job(job)
    assert (row["status"], row["attempts"]) == ("completed", 1)
    log = site.wpbg("jobs", "log", job, check=True).stdout
    assert "Background job executed successfully" in log
    assert "some_data" in log
    assert row["callback"] == "function_to_execute_on_background"


def test_a_row_that_has_failed_before_has_its_remaining_attempts(maria71: Site) -> None:
    maria71.mu_plugin("callback", "function function_to_execute_on_background() { throw new Exception( 'no' ); }")
    job = _insert_by_hand(maria71, attempts=2)
    done = maria71.wpbg("run")
    assert done.returncode == 1
    row = maria71.job(job)
    assert (row["status"], row["attempts"]) == ("failed", 3)


def test_a_payload_that_nobody_can_read_fails_with_the_reason_and_the_next_job_runs(maria71: Site) -> None:
    maria71.mu_plugin("callback", CALLBACK)
    cut = _insert_by_hand(maria71)
    maria71.query(f"UPDATE {maria71.jobs} SET payload = %s, max_attempts = 1 WHERE id = %s", (b'O:8:"stdCl', cut))
    fine = _insert_by_hand(maria71)
    maria71.wpbg("listen", "--stop-when-empty", check=True)
    assert maria71.job(cut)["status"] == "failed"
    assert "cannot be read" in maria71.job(cut)["error"]
    assert maria71.job(fine)["status"] == "completed"
