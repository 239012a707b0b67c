"""Every screen: what it shows, what it does when clicked, that anybody can use it, and that jobs cannot attack it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Served
from tests.support.need import require_part

Screen = Callable[[str], Page]

SCREENS = ("overview", "jobs", "jobs?status=failed", "batches", "queues", "log")

LOADED = "! document.querySelector('#background-jobs').textContent.includes('Loading…')"

ATTACKS = (
    '<script>alert(1)</script>"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)' x='",
    "javascript:alert(4)",
    "\x1b[2J\x1b]0;owned\x07\u202egnp.exe",
    "{{constructor.constructor('alert(5)')()}}",
)


def fill(served: Served, tmp_path: Path) -> str:
    """A job in every state, of several queues and a batch; a running one's id."""
    site = served.site
    flag = tmp_path / "flag"
    running, failed, said, _ = served.enqueue(
        ("counts_until", {"flag": str(flag)}, "default", {"batch": "import"}),
        ("throws", "no price", "mail", {"max_attempts": 1, "batch": "import"}),
        ("says", "hello\n", "mail", {}),
        ("says", {"deep": [1, {"er": None}]}, "later", {"delay": 3600}),
    )
    served.work("--concurrency", "2", "--queue", "default", "--queue", "mail")
    site.wait_for_status(running, "running")
    site.wait_for_status(said, "completed")
    site.wait_for_status(failed, "failed")
    return running


def violations(page: Page) -> list[str]:
    """What axe-core finds of our page that is serious or critical."""
    page.evaluate(require_part("axe.min.js").read_text())
    found: Any = page.evaluate("axe.run('.bgw', { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def test_nobody_is_kept_out_of_any_screen(served: Served, screen: Screen, tmp_path: Path) -> None:
    """axe-core finds nothing serious, and nothing is wider than the window, be it wide or narrow."""
    running = fill(served, tmp_path)
    for name in (*SCREENS, f"job/{running}"):
        page = screen(name)
        page.wait_for_function(LOADED)
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert violations(page) == [], (name, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_the_overview_tells_of_workers_and_what_they_run(served: Served, screen: Screen, tmp_path: Path) -> None:
    page = screen("overview")
    expect(page.locator(".bgw-health")).to_contain_text("No worker is alive", ignore_case=True)
    expect(page.locator(".bgw-health")).to_contain_text("wpbg listen")
    fill(served, tmp_path)
    expect(page.locator(".bgw-health")).to_contain_text("All is well: 2 workers")
    row = page.get_by_role("table", name="Workers").get_by_role("row").filter(has_text="counts_until")
    expect(row.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("img", name="Jobs per minute: 1 completed, 1 failed")).to_be_visible()
    page.get_by_role("button", name="Last day").click()
    expect(page.get_by_role("img", name="Jobs per quarter of an hour: 1 completed, 1 failed")).to_be_visible()
    expect(page.get_by_text("Run time by callback")).to_be_visible()


def test_a_batch_moves_until_it_is_done(served: Served, screen: Screen, tmp_path: Path) -> None:
    site, flag = served.site, tmp_path / "flag"
    said = ("says", "x", "default", {"batch": "nightly"})
    served.enqueue(said, said, ("counts_until", {"flag": str(flag)}, "default", {"batch": "nightly"}))
    page = screen("batches")
    bar = page.get_by_role("progressbar", name="Progress of batch nightly")
    expect(bar).to_have_attribute("aria-valuetext", "0 of 3 (0 %)")
    served.work()
    expect(bar).to_have_attribute("aria-valuetext", "2 of 3 (66 %)")
    flag.touch()
    expect(bar).to_have_attribute("aria-valuetext", "3 of 3 (100 %)")
    expect(page.get_by_role("row").filter(has_text="nightly")).to_contain_text("done")
    later = site.enqueue("says", "x", batch="nightly", delay=3600)
    expect(bar).to_have_attribute("aria-valuetext", "3 of 4 (75 %)")
    page.get_by_role("link", name="nightly").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.get_by_role("link", name=later, exact=True)).to_be_visible()


def test_a_queue_is_paused_resumed_and_purged(served: Served, screen: Screen) -> None:
    site = served.site
    job = site.enqueue("says", "x")
    page = screen("queues")
    page.get_by_role("button", name="Pause default").click()
    expect(page.locator(".bgw-status")).to_have_text("Paused")
    served.work()
    assert site.job(job)["status"] == "queued"
    page.get_by_role("button", name="Resume default").click()
    site.wait_for_status(job, "completed")
    site.enqueue("says", "x", delay=3600)
    page.get_by_role("button", name="Purge default").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    expect(page.get_by_text("1 waiting job of default deleted.").first).to_be_visible()
    expect(page.get_by_role("heading", name="Queues", exact=True)).to_be_focused()
    assert site.query(f"SELECT id FROM {site.jobs} WHERE status = 'delayed'") == []


def test_the_log_is_followed(served: Served, screen: Screen, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    served.site.configure(BACKGROUND_WORKER_LOG=str(log))
    try:
        page = screen("log")
        expect(page.get_by_text("The file is not there (yet)")).to_be_visible()
        served.work()
        region = page.get_by_role("region", name="Log")
        expect(region).to_contain_text("worker.started")
        job = served.site.enqueue("says", "x")
        expect(region).to_contain_text(f"job.completed id={job}")
    finally:
        served.site.configure(BACKGROUND_WORKER_LOG=None)


def test_the_dashboard_is_worked_with_the_keyboard(served: Served, screen: Screen) -> None:
    job = served.site.enqueue("says", "x")
    page = screen("overview")
    page.get_by_role("link", name="Jobs", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_focused()
    page.get_by_role("checkbox", name=f"Select job {job}").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert served.site.job(job)["status"] == "queued"


def attacked(served: Served) -> list[str]:
    """Jobs with each attack in all that is shown of them, one that completed and one that failed; their ids."""
    site, jobs, names = served.site, [], []
    for attack in ATTACKS:
        name = attack.translate(dict.fromkeys(map(ord, "\x1b\x07\u202e")))[:60]  # Names of queues may not have those.
        names += ["--queue", name]
        jobs.append(("says", {"a": [attack, {attack: attack}]}, name, {"batch": name}))
        jobs.append(("throws", attack, name, {"max_attempts": 1, "unique": name}))
    ids = served.enqueue(*jobs)
    served.work(*names, "--name", ATTACKS[0][:60])
    for job in ids:
        site.wait_for_status(job, "completed", "failed")
    # A callback's name, a worker's and so on are whatever somebody put into the table.
    for place, attack in enumerate(ATTACKS):
        hexed = f"x'{attack.encode().hex()}'"
        text = hexed if site.server else f"CAST({hexed} AS TEXT)"
        columns = ("callback", "progress_message", "note", "worker")
        site.query(
            f"UPDATE {site.jobs} SET progress_done = 1, {', '.join(f'{column} = {text}' for column in columns)}"
            f" WHERE id IN ({ids[2 * place]}, {ids[2 * place + 1]})"
        )
    return ids


def test_what_jobs_hold_is_text_on_every_screen(served: Served, screen: Screen) -> None:
    """Nothing of it becomes an element, a link, a dialog or a command to a terminal."""
    ids = attacked(served)
    shown = [re.sub("\x1b\\[2J|\x1b]0;owned\x07|\u202e", "", attack) for attack in ATTACKS]
    for name in (*SCREENS, *(f"job/{job}" for job in ids)):
        page = screen(name)
        page.wait_for_function(LOADED)
        if name in ("jobs", "batches", "queues"):
            for text in shown:
                expect(page.locator("#background-jobs")).to_contain_text(text[:50])
        if name.startswith("job/"):
            expect(page.locator("#background-jobs")).to_contain_text(shown[ids.index(name[4:]) // 2])
        expect(page.locator("#background-jobs :is(script, img, iframe, [onmouseover], [onerror])")).to_have_count(0)
        hrefs = page.evaluate("[...document.querySelectorAll('#background-jobs a')].map(a => a.getAttribute('href'))")
        assert all(href.startswith("#/") for href in hrefs), hrefs
    routes = ("/overview", "/jobs", *(f"/jobs/{job}" for job in ids), "/queues", "/batches", "/statistics")
    raw = json.dumps([served.admin.rest("GET", route).body for route in routes])
    assert "\\u001b" not in raw
    assert "\\u202e" not in raw
