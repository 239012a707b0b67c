"""What the page does when something is wrong: it says so in words, goes on by itself, and never breaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served

Screen = Callable[[str], Page]


# None of it is of the database's making: one site is enough.
pytestmark = pytest.mark.parametrize("open_site", ["sqlite71"], indirect=True)


def test_an_address_that_leads_nowhere_says_so(served: Served, screen: Screen) -> None:
    for address, says in (
        ("job/abc", "“abc” is not the id of a job"),
        ("job/%E0%A4", "is not the id of a job"),
        ("job/1/retry", "“1/retry” is not the id of a job"),
        ("job/999999", "There is no job 999999"),
        ("job/", "No jobs here."),
        ("jobs?status=gone", "No jobs here."),
        ("jobs?cursor=x", "Invalid parameter(s): cursor"),
        ("constructor", "Workers"),
        ("no-such-screen", "Workers"),
    ):
        page = screen(address)
        expect(page.locator("#background-jobs")).to_contain_text(says)
        expect(page.get_by_role("navigation", name="Background jobs")).to_be_visible()
        expect(page.get_by_text("This screen broke")).to_have_count(0)


def test_a_nonce_that_expires_is_renewed_and_nobody_notices(served: Served, screen: Screen) -> None:
    page = screen("jobs")
    expect(page.get_by_text("No jobs here.")).to_be_visible()
    page.evaluate("wp.apiFetch.nonceMiddleware.nonce = '0123456789'")
    served.enqueue(("says", "x", "default", {}))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#background-jobs .components-notice")).to_have_count(0)


def test_who_is_logged_out_is_told_and_goes_on_after_logging_in(served: Served, screen: Screen) -> None:
    job = served.site.enqueue("says", "x")
    page = screen("jobs")
    expect(page.get_by_role("link", name=job, exact=True)).to_be_visible()
    page.context.clear_cookies()
    notice = page.locator("#background-jobs .components-notice")
    expect(notice).to_contain_text("You are logged out.")
    expect(notice.get_by_role("link")).to_have_attribute("href", "/wp-admin/tools.php?page=background-jobs")
    expect(page.get_by_role("link", name=job, exact=True)).to_be_visible()
    page.context.add_cookies(served.admin.cookies())  # type: ignore[arg-type]
    expect(notice).to_have_count(0)


def test_a_site_that_breaks_is_told_of_once_and_without_markup(served: Served, screen: Screen) -> None:
    page = screen("overview")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    fault = served.site.mu_plugin("fault", "if ( isset( $_GET['rest_route'] ) ) { no_such_function(); }")
    try:
        notice = page.locator("#background-jobs .components-notice")
        expect(notice).to_contain_text("The site broke while it answered; its error log says why. Trying again.")
        expect(notice).to_have_count(1)
        expect(notice).not_to_contain_text("<")
    finally:
        fault.unlink()
    expect(notice).to_have_count(0)


def test_a_site_that_takes_long_is_told_of_and_what_was_there_stays(
    served: Served, screen: Screen, tmp_path: Path
) -> None:
    job = served.site.enqueue("says", "x")
    page = screen("jobs")
    expect(page.get_by_role("link", name=job, exact=True)).to_be_visible()
    page.evaluate("window.backgroundWorker.patience = 300")
    hold = tmp_path / "hold"
    hold.touch()
    slow = served.site.mu_plugin(
        "slow",
        f"add_filter( 'rest_pre_dispatch', function ( $result ) {{"
        f" for ( $n = 0; $n < 600 && file_exists( '{hold}' ); $n++ ) {{ usleep( 50000 ); clearstatcache(); }}"
        " return $result; } );",
    )
    try:
        notice = page.locator("#background-jobs .components-notice")
        expect(notice).to_contain_text("The site takes long to answer")
        expect(page.get_by_role("link", name=job, exact=True)).to_be_visible()
    finally:
        page.evaluate("window.backgroundWorker.patience = 10000")
        slow.unlink()
        hold.unlink()
    expect(notice).to_have_count(0)


def test_in_a_narrow_window_all_can_be_selected_and_cells_stay_together(served: Served, screen: Screen) -> None:
    served.enqueue(*[("says", n, "default", {"batch": "b"}) for n in range(3)])
    page = screen("jobs")
    page.set_viewport_size({"width": 400, "height": 900})
    every = page.get_by_role("checkbox", name="Select all")
    box = every.bounding_box()
    assert box
    assert box["width"] > 10
    every.check()
    expect(page.get_by_role("group", name="Selected jobs")).to_contain_text("3 selected")
    page.get_by_role("columnheader", name="Job").get_by_role("link").click()
    expect(page.locator("tbody tr").first).to_contain_text("says")
    # The batch's name stands below the callback, not beside it.
    page.wait_for_function(
        "() => { const cell = document.querySelector( 'tbody .bgw-cell:has( .bgw-callback )' );"
        " const [ callback, batch ] = [ '.bgw-callback', '.bgw-faint' ].map( ( part ) =>"
        " cell.querySelector( part ).getBoundingClientRect() ); return batch.top >= callback.bottom; }"
    )


def test_what_is_code_reads_from_left_to_right_in_every_language(served: Served, screen: Screen) -> None:
    """And nothing is wider than the window there, either."""
    site = served.site
    job = site.enqueue("throws", "no", max_attempts=1)
    served.work("--stop-when-empty")
    site.wait_for_status(job, "failed")
    language = site.mu_plugin(
        "rtl",
        "add_filter( 'gettext_with_context', function ( $text, $single, $context ) {"
        " return 'text direction' === $context ? 'rtl' : $text; }, 10, 3 );",
    )
    try:
        page = screen(f"job/{job}")
        ways = {".bgw-facts": "rtl", ".bgw-place": "ltr", ".bgw-callback": "ltr", ".bgw-arguments": "ltr"}
        for what, way in ways.items():
            assert page.locator(what).evaluate("element => getComputedStyle( element ).direction") == way, what
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        language.unlink()


def test_a_queue_server_that_is_away_is_told_of(served: Served, screen: Screen) -> None:
    site = served.site
    site.configure(ABW_BACKEND="beanstalkd", ABW_BEANSTALKD="127.0.0.1:1")
    try:
        health = screen("overview").locator(".bgw-health")
        expect(health).to_contain_text("beanstalkd does not answer at 127.0.0.1:1; jobs go into the database instead.")
        site.configure(ABW_BACKEND="rabbit")
        expect(health).to_contain_text("“rabbit”: ABW_BACKEND is none of database, beanstalkd and gearman.")
    finally:
        site.configure(ABW_BACKEND=None, ABW_BEANSTALKD=None)
    expect(health).not_to_contain_text("rabbit")
