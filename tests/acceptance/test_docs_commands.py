"""Every other command line in README and docs, run: those in sentences and tables, of brokers, for administrators."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gearmand import Gearmand
from tests.support.mariadb import MariaDB
from tests.support.need import ROOT, require
from tests.support.process import WorkerProcess
from tests.support.server import free_port
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.systemd import Systemd
from tests.support.wait import wait_for
from tests.support.web import Web

PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "reference.md")]


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def in_sentences() -> list[str]:
    """What stands between backticks and begins with one of our programs, the alternatives of a table one by one."""
    found = set()
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for code in re.findall(r"`((?:wpbg|wp|docker) [^`]+)`", prose):
            head, _, last = code.replace("\\|", "|").rpartition(" ")
            alternatives = last.split("|") if "|" in last else [last]
            found |= {f"{head} {one}" for one in alternatives if "…" not in code}
    return sorted(found - NOT_COMMANDS)


NOT_COMMANDS = {"wpbg COMMAND --help", "docker exec", "wp background-worker [listen]", "wp action-scheduler run"}
"""Kinds of commands, and one of another plugin's."""


@pytest.fixture(scope="module")
def site(sites: Sites) -> Iterator[Site]:
    """One for all of them, with a `docker` that has one container: this machine."""
    made = sites.clone("sqlite71")
    made.mu_plugin("callbacks", "function nothing( $data = null ) { return $data; }")
    docker = made.bin / "docker"
    docker.write_text('#!/bin/sh\n[ "$*" = "${*#compose exec -T web wp }" ] && exit 125\nshift 5\nexec wp "$@"\n')
    docker.chmod(0o755)
    yield made
    sites.close(made)


def filled(command: str, site: Site) -> str:
    """With what it needs in the place of the capitals, and an end where it would go on for ever."""
    words = command.split()
    job = site.enqueue("nothing", 1, batch="import", max_attempts=1)
    if "retry" in words:
        site.query(f"UPDATE {site.jobs} SET status = 'failed' WHERE id = {job}")
    if words[:2] == ["wpbg", "listen-loop"] or words[:2] == ["wpbg", "listen"]:
        words.append("--stop-when-empty")
    if "wait" in words:
        site.wpbg("listen", "--stop-when-empty", check=True)
    names = {"ID": job, "NAME": "import" if "batches" in words else "default", "HOST:PORT": "127.0.0.1:0"}
    text = " ".join(words)
    for name, value in names.items():
        text = re.sub(rf"\b{name}\b", value, text)
    # A subcommand alone, of a list of them: with the argument that it must have.
    last = text.split()[1:]
    lacking = {
        ("jobs", "get"): job, ("jobs", "log"): job, ("jobs", "cancel"): job, ("jobs", "retry"): job,
        ("jobs", "wait"): job, ("jobs", "delete"): job, ("jobs", "add"): "nothing", ("batches", "get"): "import",
        ("batches", "wait"): "import", ("queues", "pause"): "default", ("queues", "resume"): "default",
        ("queues", "purge"): "default --yes",
    }  # fmt: skip
    if tuple(last[:2]) == ("jobs", "delete") and last[2:] == []:
        site.query(f"UPDATE {site.jobs} SET status = 'completed' WHERE id = {job}")
    if tuple(last) in lacking:
        text += f" {lacking[tuple(last)]}"
    elif tuple(last) == ("jobs", "get", "--format", "json"):
        text += f" {job}"
    if text in ("wpbg jobs", "wpbg queues", "wpbg service", "wp plugin install", "wp eval"):
        text += " --help"
    return text


@pytest.mark.parametrize("command", in_sentences())
def test_a_command_in_a_sentence_runs(command: str, site: Site) -> None:
    text = filled(command, site)
    done = subprocess.run(
        ["bash", "-c", text], env=site.env, cwd=site.path, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    fine = (0, 1) if text.startswith("wpbg doctor") else (0,)  # No worker runs there.
    assert done.returncode in fine, f"{text}: {done.returncode} {done.stdout}{done.stderr}"


def test_there_are_many() -> None:
    assert len(in_sentences()) > 30
    assert {"wpbg jobs retry --failed", "wpbg queues purge", "wpbg batches wait NAME"} <= set(in_sentences())


# -- brokers -------------------------------------------------------------------------------------------------


def lines_of(page: str, program: str) -> list[str]:
    """Indented command lines; what is continued is one."""
    text = text_of(page).replace("\\\n", " ")
    return [" ".join(line.partition("  #")[0].split()) for line in re.findall(rf"^ {{4}}({program} .*)$", text, re.M)]


def answers(port: int, say: bytes) -> bytes:
    with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", port), 1)) as there:
        there.sendall(say)
        return there.recv(100)
    return b""


def test_beanstalkd_as_the_page_starts_it(site: Site, tmp_path: Path) -> None:
    (line,) = lines_of("brokers.md", "beanstalkd")
    port = free_port()
    require("beanstalkd", "beanstalkd")
    server = site.start(shlex.split(line.replace("11300", str(port)).replace("/var/lib/beanstalkd", str(tmp_path))))
    wait_for(lambda: answers(port, b"list-tubes\r\n").startswith(b"OK"), 30, f"it answers: {server.log}")
    assert list(tmp_path.glob("binlog.*")), "it keeps its jobs there"
    server.stop()


def test_gearmand_as_the_page_starts_it(site: Site, tmp_path: Path, private_mariadb: MariaDB) -> None:
    private_mariadb.start()
    private_mariadb.execute("CREATE DATABASE gearman")
    lines = lines_of("brokers.md", "gearmand")
    assert len(lines) == 2
    as_root = Gearmand(tmp_path).argv()[-1:]
    for line in lines:
        port = free_port()
        for page, here in (
            ("--port=4730", f"--port={port}"), ("3306", str(private_mariadb.port)), ("/var/lib/gearman", str(tmp_path)),
            ("-user=gearman", f"-user={private_mariadb.user}"), ("=…", f"={shlex.quote(private_mariadb.password)}"),
        ):  # fmt: skip
            line = line.replace(page, here)
        more = [f"--log-file={tmp_path}/log", f"--pid-file={tmp_path}/pid", *(a for a in as_root if "user" in a)]
        server: WorkerProcess = site.start([require("gearmand", "gearman-job-server"), *shlex.split(line)[1:], *more])
        wait_for(lambda at=port: answers(at, b"version\n").startswith(b"OK"), 60, f"it answers: {line}")  # type: ignore[misc]
        server.stop()
    assert (tmp_path / "queue.db").exists()
    assert private_mariadb.execute("SHOW TABLES IN gearman"), "the table it makes itself"


def test_the_rest_api_as_the_page_asks_it(site: Site) -> None:
    (line,) = lines_of("rest-api.md", "curl")
    require("curl", "curl")
    site.configure(WP_ENVIRONMENT_TYPE="local")  # Application passwords are for HTTPS alone, elsewhere.
    site.wp("rewrite", "structure", "/%postname%/")
    web = Web(site)
    password = site.wp("user", "application-password", "create", site.admin, "docs", "--porcelain").stdout.strip()
    command = line.replace("https://example.com", web.url).replace("abcd efgh …", password).replace("curl", "curl -sS")
    done = subprocess.run(["bash", "-c", command], env={**site.env, "NO_PROXY": "127.0.0.1"},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert set(json.loads(done.stdout)) >= {"health", "queues", "workers", "site"}, done.stdout + done.stderr


# -- for administrators --------------------------------------------------------------------------------------


def test_what_administrators_type(site: Site, tmp_path: Path) -> None:
    """The blocks marked `console`, by root under a live systemd, and under Debian's supervisord beside it."""
    systemd = Systemd(tmp_path / "systemd", {**site.env, "SYSTEMD_PAGER": "cat"})
    systemd.start()
    try:
        require("supervisord", "supervisor")
        for folder in ("/etc/supervisor/conf.d", "/var/log/supervisor"):
            here = tmp_path / folder.replace("/", "-")
            here.mkdir()
            typed(systemd, f"mount --bind {here} {folder}", site)
        typed(systemd, "supervisord -c /etc/supervisor/supervisord.conf", site)
        for block in re.findall(r"^```console\n(.*?)^```$", text_of("production.md"), re.M | re.S):
            for line in block.splitlines():
                here_line = line.replace("sudo -u www-data ", "").replace("/opt/wpbg/bin/wpbg", str(site.wpbg_bin))
                typed(systemd, here_line.replace("/var/www/site", str(site.path)), site)
        assert systemd.ctl("is-active wpbg-site@1") == "active"
        wait_for(lambda: "RUNNING" in systemd.run("supervisorctl status").stdout, 60, "supervisord's worker runs")
    finally:
        systemd.stop()


def typed(systemd: Systemd, line: str, site: Site) -> None:
    done = systemd.run(line, cwd=site.elsewhere)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}\n{systemd.log}"
