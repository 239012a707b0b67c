"""The list of jobs and the page of one, worked by clicking while a real worker works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Served

Screen = Callable[[str], Page]


def test_progress_moves_without_a_reload(served: Served, screen: Screen, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    job = served.site.enqueue("counts_until", {"flag": str(flag)})
    served.work()
    page = screen(f"job/{job}")
    page.evaluate("window.notReloaded = true")
    bar = page.get_by_role("progressbar")
    expect(bar).to_be_visible()
    seen = int(bar.get_attribute("aria-valuenow") or 0)
    page.wait_for_function(
        "seen => +document.querySelector('[role=progressbar]').getAttribute('aria-valuenow') > seen", arg=seen
    )
    flag.touch()
    expect(page.locator(".bgw-status").first).to_have_text("Completed")
    expect(page.get_by_role("region", name="Result")).to_contain_text('"counted": true')
    expect(page.get_by_role("region", name="Output")).to_contain_text("counted to the end")
    assert page.evaluate("window.notReloaded")


def test_a_failed_job_is_retried_to_success(served: Served, screen: Screen, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    job = served.site.enqueue("fails_without", str(flag), max_attempts=1)
    served.work()
    page = screen("jobs?status=failed")
    page.get_by_role("link", name=job, exact=True).click()
    expect(page.get_by_text("The flag is not there yet.").first).to_be_visible()
    page.locator("section summary", has_text="Trace").first.click()
    expect(page.get_by_role("region", name="Trace").first).to_contain_text("fails_without")
    flag.touch()
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".bgw-status").first).to_have_text("Completed")
    expect(page.get_by_role("region", name="Result")).to_contain_text("it is there")
    expect(page.get_by_role("heading", name="Earlier attempts")).to_be_visible()


def test_a_running_job_is_cancelled(served: Served, screen: Screen, tmp_path: Path) -> None:
    job = served.site.enqueue("counts_until", {"flag": str(tmp_path / "never")})
    served.work()
    page = screen(f"job/{job}")
    expect(page.locator(".bgw-status").first).to_have_text("Running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".bgw-status").first).to_have_text("Cancelled")
    assert served.site.job(job)["status"] == "cancelled"


def test_bulk_actions_paging_search_and_tabs(served: Served, screen: Screen) -> None:
    site = served.site
    site.eval_php(
        "for ( $n = 1; $n <= 45; $n++ ) { add_async_job( (object) array( 'function' => 'says', 'user_data' => $n ),"
        " $n % 2 ? 'odd' : 'even' ); } add_async_job( (object) array( 'function' => 'throws', 'user_data' => 1 ) );"
    )
    page = screen("jobs")
    expect(page.locator(".bgw-tabs a").first).to_contain_text("(46)")
    expect(page.locator("tbody tr")).to_have_count(20)
    newest = page.locator("tbody .bgw-id a").first.inner_text()
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody .bgw-id a").first).not_to_have_text(newest)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    page.get_by_role("link", name="First page").click()
    page.get_by_role("columnheader", name="Job").get_by_role("link").click()
    expect(page.locator("tbody .bgw-callback").first).to_have_text("says")
    page.get_by_role("columnheader", name="Queue").get_by_role("link").click()
    expect(page.locator("tbody tr").first).to_contain_text("odd")
    page.get_by_role("columnheader", name="Queue").get_by_role("link").click()
    expect(page.locator("tbody tr").first).to_contain_text("default")
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody tr").last).to_contain_text("odd")
    page.get_by_role("searchbox").fill("THROW")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("tbody .bgw-status")).to_have_text("Cancelled")
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("tbody .bgw-status")).to_have_text("Queued")
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No jobs here.")).to_be_visible()
    page.get_by_role("link", name="Search: THROW").click()
    expect(page.locator(".bgw-tabs a").first).to_contain_text("(45)")


def test_a_waiting_job_is_run_next(served: Served, screen: Screen) -> None:
    first, last = served.enqueue(*(("says", text, "default", {}) for text in ("first", "last")))
    page = screen(f"job/{last}")
    page.get_by_role("button", name="Run next").click()
    expect(page.get_by_text("The job is the next of its queue.").first).to_be_visible()
    assert served.site.job(last)["priority"] < served.site.job(first)["priority"]
