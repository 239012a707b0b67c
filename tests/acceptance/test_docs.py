"""What the pages tell people to type is typed, word for word, and does what they say.

Blocks marked `sh` are run. Blocks marked `console` are for an administrator's machine (systemctl, supervisorctl): that
nothing else hides behind that mark is checked here; they, and all other command lines, are run by test_docs_commands.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.need import ROOT, require
from tests.support.server import free_port
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ADMINISTRATORS = ("systemctl ", "supervisorctl ", "sudo -u www-data /opt/wpbg/bin/wpbg service ")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path, kind: str) -> list[str]:
    return [text for mark, text in FENCE.findall(page.read_text(encoding="utf-8")) if mark == kind]


@pytest.fixture
def fresh(sites: Sites) -> Iterator[Site]:
    """A WordPress without the plugin and without a wpbg on the PATH."""
    site = sites.clone("sqlite71")
    site.wp("plugin", "deactivate", "background-worker")
    site.wp("plugin", "uninstall", "background-worker")
    site.wpbg_bin.unlink()
    yield site
    sites.close(site)


def shell(script: str, site: Site, cwd: Path, timeout: float = 280) -> str:
    done = subprocess.run(
        ["bash", "-c", f"set -eo pipefail\n{script}"], env=site.env, cwd=cwd, capture_output=True, text=True,
        timeout=timeout, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_quickstart_word_for_word_ends_with_a_job_done(fresh: Site, tmp_path: Path) -> None:
    def here(text: str) -> str:
        return text.replace("/opt/wpbg", f"{tmp_path}/wpbg").replace("/var/www/site", str(fresh.path))

    said: list[str] = []
    cwd = ROOT
    for kind, text in FENCE.findall((DOCS / "quickstart.md").read_text(encoding="utf-8")):
        if kind == "php":
            named = re.search(r"^// (wp-content/\S+\.php)$", text, re.M)
            assert named
            file = fresh.path / named[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        else:
            assert kind == "sh", "only what can be typed, and files, are in blocks"
            output = shell(here(text) + "\npwd", fresh, cwd)
            *lines, where = output.splitlines()
            cwd = Path(where)
            said.append("\n".join(lines))
    assert cwd == fresh.path
    whole = "\n".join(said)
    assert "Background Worker" in whole
    assert fresh.job("1")["status"] == "completed"
    assert '{"greeted":2}' in str(fresh.job("1")["result"]).replace(" ", "")
    assert "Hello Ada!" in whole, "wpbg jobs get shows what it printed"
    assert "[Service]" in said[-1]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "quickstart.md"], ids=lambda page: page.name)
def test_what_a_page_has_people_type_works(page: Path, sqlite71: Site) -> None:
    sqlite71.mu_plugin("my-plugin", "function my_plugin_resize( $data ) { return $data; }")
    for text in blocks(page, "sh"):
        script = text.replace("127.0.0.1:9100", f"127.0.0.1:{free_port()}")
        shell(script, sqlite71, ROOT if text.startswith("script/") else sqlite71.path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_only_administrators_commands_are_not_run(page: Path) -> None:
    for text in blocks(page, "console"):
        for line in text.splitlines():
            assert line.startswith(ADMINISTRATORS), line
            subprocess.run(["bash", "-n", "-c", line], check=True)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_php_in_the_pages_is_php(page: Path, tmp_path: Path) -> None:
    for text in blocks(page, "php"):
        file = tmp_path / "block.php"
        file.write_text(text if text.startswith("<?php") else f"<?php\n{text}")
        done = subprocess.run([require("php", "php-cli"), "-l", file], capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}: {done.stdout}{done.stderr}"


def test_the_jobs_of_the_pages_run(sqlite71: Site) -> None:
    """The snippet that adds a job, and the bridge from Action Scheduler's way of calling."""
    sqlite71.mu_plugin("my-plugin", "function my_plugin_resize( $data ) { return $data['image']; }\n"
                       "function my_plugin_sync_order( $id, $how ) { echo \"synced $id $how\"; }")  # fmt: skip
    add, *_ = blocks(DOCS / "writing-jobs.md", "php")
    sqlite71.eval_php(add)
    (bridge,) = [text for text in blocks(DOCS / "moving.md", "php") if "add_action" in text]
    action = bridge.partition("wp_async_task_add")[0]
    sqlite71.mu_plugin("bridge", action)
    sqlite71.eval_php(bridge)
    sqlite71.wpbg("listen", "--queue", "images", "--queue", "default", "--stop-when-empty", check=True)
    rows = sqlite71.query(f"SELECT status, result, output FROM {sqlite71.jobs} ORDER BY id")
    assert [row["status"] for row in rows] == ["completed", "completed"]
    assert rows[0]["result"] == "42"
    assert b"synced 42 full" in bytes(rows[1]["output"])


def test_the_set_up_of_the_readme(fresh: Site, tmp_path: Path) -> None:
    """Line by line; the worker that works until Ctrl-C gets one, and beside it the doctor finds all well."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"((?:^ {4}.*\n)*^ {4}wpbg install.*\n(?:^ {4}.*\n)*)", text, re.M)
    cwd, env = ROOT, {**fresh.env, "PATH": f"{tmp_path}/wpbg/bin:{fresh.env['PATH']}"}
    worker = None
    for line in block.splitlines():
        command = line.partition("  #")[0].strip().replace("/opt/wpbg", f"{tmp_path}/wpbg")
        if command.startswith("cd "):
            cwd = fresh.path
        elif command == "wpbg listen":
            worker = fresh.start(["wpbg", "listen", "--path", str(fresh.path)], env=env)
            wait_for(lambda: fresh.query("SELECT id FROM wp_bg_workers"), 60, "the worker shows itself")
        else:
            done = subprocess.run(["bash", "-c", command], env=env, cwd=cwd, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert worker is not None
    worker.interrupt()
    assert worker.wait() == 0


def test_the_readmes_entry_for_supervisord_is_well(tmp_path: Path) -> None:
    from wpbg.doctor.host import check_entries

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"((?:^ {4}.*\n)*^ {4}\[program:.*\n(?:^ {4}.*\n)*)", text, re.M)
    (tmp_path / "a.conf").write_text("\n".join(line.strip() for line in entry.splitlines()))
    (finding,) = check_entries(Path("/var/www/site"), [f"{tmp_path}/a.conf"])
    assert finding.status == "ok", finding.said


def test_the_logrotate_entry_is_one(tmp_path: Path) -> None:
    """Given to logrotate itself where there is one: a line that is written after a rotation is in the new file."""
    from wpbg.log import Log
    from wpbg.log_file import LogFile

    (entry,) = [text for text in blocks(DOCS / "production.md", "") if "/var/log/wpbg" in text]
    config = tmp_path / "logrotate.conf"
    config.write_text(entry.replace("/var/log/wpbg", str(tmp_path / "log")))
    config.chmod(0o644)
    (tmp_path / "log").mkdir(mode=0o755)
    path = tmp_path / "log/site.log"
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123
        log = Log(stream=nowhere, file=LogFile(path))
        log.event("job.completed", id="before")
        argv = [require("logrotate", "logrotate"), "-f", "-s", str(tmp_path / "state"), str(config)]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(argv)}: {done.stderr}"
        log.event("job.completed", id="after")
    assert "id=before" in path.with_suffix(".log.1").read_text()
    assert "id=after" in path.read_text()
    assert "id=before" not in path.read_text()
