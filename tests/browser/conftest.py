"""A real Chromium in front of real sites with real workers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, TimeoutError, expect, sync_playwright

from tests.support.need import missing
from tests.support.php import literal
from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.web import Visitor, Web

CALLBACKS = """
function counts_until( $data ) {
	for ( $n = 0; ! file_exists( $data['flag'] ) && $n < 3000; $n++ ) {
		background_job_progress( min( $n, 99 ), 100, 'row ' . $n );
		usleep( 50000 );
	}
	echo "counted to the end\\n";
	return array( 'counted' => true );
}
function fails_without( $flag ) {
	if ( ! file_exists( $flag ) ) {
		throw new RuntimeException( 'The flag is not there yet.' );
	}
	return 'it is there';
}
function says( $text ) { echo $text; return $text; }
function throws( $text ) { throw new RuntimeException( $text ); }
"""

expect.set_options(timeout=30_000)  # how long a broken dashboard may keep a test waiting

GO = """name => new Promise( done => {
	const drawn = () => requestAnimationFrame( () => requestAnimationFrame( done ) );
	window.addEventListener( 'hashchange', drawn, { once: true } );
	window.location.hash = '#/' + name;
} )"""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Served:
    """A site, its web server, and its administrator."""

    site: Site
    web: Web
    admin: Visitor
    workers: list[WorkerProcess] = field(default_factory=list)

    def enqueue(self, *jobs: tuple[str, Any, str, dict[str, Any]]) -> list[str]:
        """Jobs by function, data, queue and options, all in one start of PHP; their ids."""
        adding = "".join(
            f"$id = add_async_job( (object) array( 'function' => {literal(function)}, 'user_data' => {literal(data)} ),"
            f" {literal(queue)}, {literal(options)} );"
            " echo is_wp_error( $id ) ? $id->get_error_message() : $id, PHP_EOL;"
            for function, data, queue, options in jobs
        )
        ids = self.site.eval_php(adding).split("\n")[:-1]
        assert all(job.isdigit() for job in ids), ids
        return ids

    def work(self, *flags: str) -> WorkerProcess:
        """A worker that runs until the test ends; what it runs by then goes back."""
        worker = self.site.start_wpbg("listen", "--mode", "fork", "--grace", "0", *flags)
        self.workers.append(worker)
        worker.wait_for_line("worker.started", 60)
        return worker

    def rest_up(self) -> None:
        for worker in self.workers:
            worker.terminate()
            worker.wait(60)
        self.workers.clear()
        for table in ("bg_jobs", "bg_queues", "bg_workers", "bg_statistics", "bg_run_times", "bg_batches"):
            self.site.query(f"DELETE FROM {self.site.table(table)}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        missing("no Chromium is installed; script/bootstrap installs it (Debian package chromium)")
    with sync_playwright() as playwright:
        # Root may not use the sandbox; the only pages are our own.
        # WordPress asks another machine for avatars: no page is to wait for that.
        alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", alone])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session", params=["sqlite71", "maria71"])
def open_site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Served]:
    site = sites.clone(request.param)
    site.mu_plugin("callbacks", CALLBACKS)
    web = Web(site)
    yield Served(site, web, web.log_in())
    sites.close(site)


@pytest.fixture
def served(open_site: Served) -> Iterator[Served]:
    yield open_site
    open_site.rest_up()


@pytest.fixture
def screen(browser: Browser, served: Served) -> Iterator[Callable[[str], Page]]:
    """Opens a screen of the dashboard; whatever the page's scripts complain of fails the test. One that does not appear
    says what the browser is still waiting for, and what it did not get. A page that lost files because a network card
    came or went on this machine (the trials of tests/chaos have one of their own) is loaded again, as a user would."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(served.admin.cookies())  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: dict[Request, str] = {}
    page.on("request", lambda request: asked.update({request: "no answer"}))
    page.on("requestfinished", lambda request: asked.pop(request, None))
    page.on("requestfailed", lambda request: asked.update({request: str(request.failure)}))
    page.on("dialog", lambda dialog: (complaints.append(f"a dialog: {dialog.message}"), dialog.dismiss())[0])

    def show(name: str) -> Page:
        if page.url.startswith(served.web.url):
            page.evaluate(GO, name)  # as its links do
        else:
            page.goto(f"{served.web.url}/wp-admin/tools.php?page=background-jobs#/{name}")
        for _ in range(3):
            if not any("ERR_NETWORK_CHANGED" in why for why in asked.values()):
                break
            complaints.clear()
            asked.clear()
            page.reload()
        try:
            page.wait_for_selector("h2.bgw-heading")
        except TimeoutError as error:
            missed = "\n".join(f"{request.url}: {why}" for request, why in asked.items())
            raise AssertionError(f"{name} does not appear. {complaints}\n{missed}\n{page.content()[:2000]}") from error
        return page

    yield show
    context.close()
    assert not complaints
