"""The dashboard of a network, and of the oldest WordPress that it is for."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.support.site import Site
from tests.support.web import Visitor, Web


def opened(browser: Browser, web: Web, admin: Visitor, page_path: str, complaints: list[str]) -> Page:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(admin.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{web.url}{page_path}")
    page.wait_for_selector("h2.bgw-heading")
    return page


def test_a_networks_jobs_are_its_administrators(browser: Browser, multisite: Site) -> None:
    """On the network's page and on a blog's; the administrator of one blog sees nothing of the others' jobs."""
    site = multisite
    site.eval_php(
        "$id = wp_insert_user( array( 'user_login' => 'local', 'user_pass' => 'local-password' ) );"
        "add_user_to_blog( 2, $id, 'administrator' );"
    )
    job = site.enqueue("strtoupper", "a", url=f"{site.url}/two/")
    web, complaints = Web(site), list[str]()
    admin = web.log_in()
    for path in ("/wp-admin/network/settings.php", "/wp-admin/tools.php"):
        page = opened(browser, web, admin, f"{path}?page=background-jobs#/jobs", complaints)
        page.get_by_role("link", name=job, exact=True).click()
        expect(page.get_by_role("heading", name=f"Job {job}")).to_be_visible()
        page.get_by_role("button", name="Run next").click()
        expect(page.get_by_text("The job is the next of its queue.").first).to_be_visible()
        page.context.close()
    assert complaints == []
    local = web.log_in("local", "local-password")
    assert local.ask("GET", "/two/wp-admin/tools.php").status == 200
    assert local.ask("GET", "/two/wp-admin/tools.php?page=background-jobs").status == 403
    assert local.ask("GET", "/two/index.php?rest_route=/background-worker/v1/jobs").status == 403


def test_the_oldest_wordpress_shows_every_screen(browser: Browser, maria61: Site) -> None:
    site = maria61
    site.mu_plugin("says", "function says( $text ) { echo $text; return $text; }")
    job = site.enqueue("says", "hello", batch="b")
    site.wpbg("run", check=True)
    web, complaints = Web(site), list[str]()
    page = opened(browser, web, web.log_in(), "/wp-admin/tools.php?page=background-jobs", complaints)
    for name in ("Overview", "Jobs", "Batches", "Queues", "Log"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        expect(page.locator("#background-jobs")).not_to_contain_text("Loading…")
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("checkbox", name=f"Select job {job}").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No jobs here.")).to_be_visible()
    page.context.close()
    assert complaints == []
