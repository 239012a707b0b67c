"""A real worker that systemd, or whoever holds the socket, has started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.notify import Manager
from tests.support.site import Site
from tests.support.wait import wait_for

CALLBACKS = """
function what_it_is_told( $file ) {
    file_put_contents( "$file.told", (string) getenv( 'NOTIFY_SOCKET' ) . getenv( 'WATCHDOG_USEC' ) );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
}
"""


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_readiness_status_watchdog_and_the_end(sqlite71: Site, tmp_path: Path, kind: str) -> None:
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    manager = Manager(str(tmp_path / "notify") if kind == "path" else f"@wpbg-test-{os.getpid()}-worker")
    try:
        trace = sqlite71.folder / "trace"
        job = sqlite71.enqueue("what_it_is_told", str(trace))
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
        worker = sqlite71.start_wpbg("listen", env=env)
        heard: list[str] = []

        def said(line: str, times: int = 1) -> bool:
            heard.extend(manager.heard())
            return heard.count(line) >= times

        wait_for(lambda: said("READY=1"), 60, f"ready: {heard}")
        wait_for(lambda: said("STATUS=1 of 1 slots busy, 0 jobs done; restart, queues default"), 60, f"busy: {heard}")
        wait_for(lambda: said("WATCHDOG=1", 3), 60, f"the watchdog's answers, in the middle of a job: {heard}")
        worker.terminate()
        wait_for(lambda: said("STOPPING=1"), 60, f"stopping: {heard}")
        trace.with_suffix(".go").touch()
        assert worker.wait() == 0
        heard += manager.heard()
        assert heard.count("READY=1") == heard.count("STOPPING=1") == 1
        assert sqlite71.job(job)["status"] == "completed"
        assert trace.with_suffix(".told").read_text() == "", "PHP is told nothing of it"
    finally:
        manager.close()
