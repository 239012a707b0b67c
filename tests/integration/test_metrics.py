"""`listen --metrics` on a real worker under load: what it serves parses and is true; health; a port in use."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from tests.support.mariadb import MariaDB
from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for

CALLBACKS = """
function quick( $n ) { usleep( 2000 ); if ( 0 === $n % 50 ) { throw new Exception( 'no' ); } return $n; }
function wait_for_go( $file ) {
    touch( "$file.begun" );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
}
"""

METRICS = ("--metrics", "127.0.0.1:0")


def base(worker: WorkerProcess) -> str:
    line = worker.wait_for_line(r"metrics\.listening")
    found = re.search(r"http://[\d.:]+", line)
    assert found
    return found[0]


def get(url: str, accept: str = "", timeout: float = 60) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


Samples = dict[tuple[str, ...], float]


def scrape(url: str) -> Samples:
    """Samples by their name and the sorted values of their labels, read by the client library's parser."""
    code, text = get(f"{url}/metrics")
    assert code == 200
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_under_load(maria71: Site) -> None:
    maria71.mu_plugin("callbacks", CALLBACKS)
    maria71.eval_php(
        "for ( $i = 1; $i <= 400; $i++ ) {"
        "$job = (object) array( 'function' => 'quick', 'user_data' => $i );"
        "add_async_job( $job, 'mail', array( 'max_attempts' => 1 ) );"
        "} add_async_job( (object) array( 'function' => 'quick', 'user_data' => 1 ), 'nobody\\'s \"queue\"' );"
    )
    next_second()  # No process is replaced for code that is as new as itself.
    worker = maria71.start_wpbg(
        "listen", "--queue", "mail", "--mode", "fork", "--concurrency", "2", "--max-jobs", "150", *METRICS
    )
    url = base(worker)
    scrapes = 0

    def all_done() -> Samples | None:
        nonlocal scrapes
        scrapes += 1
        now = scrape(url)
        assert 0 <= now["wpbg_slots_busy",] <= 2
        done = sum(now.get(("wpbg_jobs_total", outcome, "mail"), 0) for outcome in ("completed", "failed"))
        return now if done == 400 else None

    now = wait_for(all_done, 120, "400 jobs in the metrics")
    assert now and scrapes > 1
    assert now["wpbg_jobs_total", "failed", "mail"] == 8
    assert now["wpbg_runs_total", "completed", "mail"] == 392
    assert now["wpbg_job_run_seconds_count", "mail"] == 400
    assert now["wpbg_job_run_seconds_sum", "mail"] >= 400 * 0.001
    assert now["wpbg_job_wait_seconds_count", "mail"] >= 400  # More where jobs that were claimed ahead went back.
    assert now["wpbg_claim_seconds_count",] >= 1
    assert now["wpbg_settle_seconds_count",] >= 1
    assert now["wpbg_php_starts_total", "fork"] >= 2
    assert now["wpbg_php_recycles_total", "max_jobs"] >= 1
    assert now["wpbg_slots",] == 2
    assert now["wpbg_database_up",] == 1
    assert now["process_resident_memory_bytes",] > 0

    def depths() -> bool:
        later = scrape(url)  # An answer of the database serves for some seconds.
        return later["wpbg_queue_jobs", "mail", "queued"] == 0 and later["wpbg_queue_jobs", "failed", "mail"] == 8

    wait_for(depths, 60, "the depths of the queues")
    assert scrape(url)["wpbg_queue_jobs", 'nobody\'s "queue"', "queued"] == 1
    families = list(open_metrics(get(f"{url}/metrics", "application/openmetrics-text")[1]))
    assert {"wpbg_jobs", "wpbg_worker", "wpbg_queue_jobs"} <= {family.name for family in families}
    worker.terminate()
    assert worker.wait() == 0


def test_health_and_readiness(sites: Sites, private_mariadb: MariaDB) -> None:
    private_mariadb.start()
    site = sites.clone("maria71", server=private_mariadb)
    site.mu_plugin("callbacks", CALLBACKS)
    worker = site.start_wpbg("listen", *METRICS)
    url = base(worker)
    wait_for(lambda: get(f"{url}/readyz") == (200, "ok\n"), 60, "the worker is ready")
    assert get(f"{url}/healthz") == (200, "ok\n")
    assert get(f"{url}/elsewhere")[0] == 404
    private_mariadb.stop()
    assert wait_for(lambda: get(f"{url}/readyz")[0] == 503, 60, "not ready without a database")
    assert get(f"{url}/readyz") == (503, "the database cannot be reached\n")
    assert get(f"{url}/healthz")[0] == 200, "ending the worker would not bring the database back"
    wait_for(lambda: scrape(url)["wpbg_database_up",] == 0, 60, "metrics without a database")
    errors = {key: value for key, value in scrape(url).items() if key[0] == "wpbg_database_errors_total"}
    assert sum(errors.values()) >= 1
    private_mariadb.start()
    wait_for(lambda: get(f"{url}/readyz")[0] == 200, 60, "ready again")

    trace = site.folder / "trace"
    site.enqueue("wait_for_go", str(trace))
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    assert scrape(url)["wpbg_slots_busy",] == 1
    worker.terminate()
    wait_for(lambda: get(f"{url}/readyz")[0] == 503, what="not ready while it stops")
    assert "is stopping" in get(f"{url}/readyz")[1]
    assert scrape(url)["wpbg_stopping",] == 1
    trace.with_suffix(".go").touch()
    assert worker.wait() == 0


def test_a_database_that_hangs_keeps_no_scrape_waiting(sites: Sites, private_mariadb: MariaDB) -> None:
    """It takes connections and says nothing: the questions wait for a minute each, Prometheus for ten seconds."""
    private_mariadb.start()
    site = sites.clone("maria71", server=private_mariadb)
    worker = site.start_wpbg("listen", *METRICS)
    url = base(worker)
    wait_for(lambda: get(f"{url}/readyz")[0] == 200, 60, "the worker is ready")
    assert private_mariadb.process is not None
    private_mariadb.process.send_signal(signal.SIGSTOP)
    try:
        # What was asked before it hung serves for a while.
        wait_for(lambda: "\nwpbg_database_up 0.0\n" in get(f"{url}/metrics", timeout=10)[1], 90, "it is told of")
        assert "\nwpbg_slots 1.0\n" in get(f"{url}/metrics", timeout=10)[1]
    finally:
        private_mariadb.process.send_signal(signal.SIGCONT)
    wait_for(lambda: scrape(url)["wpbg_database_up",] == 1, 60, "the database is back")


def test_a_port_that_is_taken_and_an_address_that_is_none(sqlite71: Site) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = sqlite71.wpbg("listen", "--metrics", f"127.0.0.1:{port}", "--stop-when-empty")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"wpbg: --metrics 127.0.0.1:{port}: nobody can listen there (Address already in use)."
    )
    assert done.stderr.count("\n") == 1
    for wrong in ("nonsense", "127.0.0.1:99999", "no.such.host.invalid:9100"):
        done = sqlite71.wpbg("listen", "--metrics", wrong, "--stop-when-empty")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


def test_a_client_that_says_nothing_or_hangs_up_costs_nothing(sqlite71: Site) -> None:
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    worker = sqlite71.start_wpbg("listen", *METRICS)
    host, port = base(worker).removeprefix("http://").split(":")
    with contextlib.closing(socket.create_connection((host, int(port)))) as silent:
        silent.sendall(b"GET /met")
        with contextlib.closing(socket.create_connection((host, int(port)))) as hasty:
            hasty.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert get(f"http://{host}:{port}/healthz")[0] == 200
        job = sqlite71.enqueue("quick", 1)
        sqlite71.wait_for_status(job, "completed")
        worker.terminate()
        assert worker.wait() == 0
    assert "Traceback" not in worker.log
