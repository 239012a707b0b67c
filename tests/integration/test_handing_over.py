"""`wp background-worker`: the words and the environment with which it hands over to wpbg."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import pytest

from tests.support.site import Site

TELLS = """#!{python}
import json, os, sys
links = [f"/proc/self/fd/{{n}}" for n in os.listdir("/proc/self/fd")]
fds = [os.readlink(link) for link in links if os.path.exists(link)]
print(json.dumps({{"words": sys.argv[1:], "wp": os.environ["WPBG_WP"], "pid": os.getpid(),
    "open": [name for name in fds if name.startswith("socket:") or "sqlite" in name]}}))
"""


@pytest.fixture
def handing_over(shared_site: Site) -> Site:
    """A site whose `wpbg` only tells how it was called."""
    shared_site.wpbg_bin.write_text(TELLS.format(python=sys.executable))
    shared_site.wpbg_bin.chmod(0o755)
    return shared_site


def _told(site: Site, *words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(site.wp("background-worker", *words).stdout)
    return told


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", "run"),
        ("run", "run"),
        ("skip-lock", "run --skip-lock"),
        ("listen skip-lock", "listen --skip-lock"),
        ("skip-lock listen-loop", "listen-loop --skip-lock"),
        ("listen --queue_name=special_queue --name=w1", "listen --queue=special_queue --name=w1"),
        ("listen --queue_name=a,b --queue_name=c --queue=d,e", "listen --queue=a --queue=b --queue=c --queue=d,e"),
        ("listen --concurrency=4 --stop-when-empty --no-what", "listen --concurrency=4 --stop-when-empty --no-what"),
        ("listen '--name=ü b'", "listen '--name=ü b'"),
    ],
)
def test_words(handing_over: Site, said: str, meant: str) -> None:
    words = _told(handing_over, *shlex.split(said))["words"]
    assert words == [*shlex.split(meant), f"--path={handing_over.path}"]


def test_a_url_is_passed_on(handing_over: Site) -> None:
    assert _told(handing_over, "listen", "--url=http://other.test")["words"][-1] == "--url=http://other.test"


def test_wpbg_learns_how_wp_cli_was_started(handing_over: Site) -> None:
    """Flags of PHP and of WP-CLI are not lost on the way to the processes that run the jobs."""
    extra = handing_over.folder / "it's ü.php"
    extra.write_text("<?php")
    php, phar = handing_over.wp_argv
    handing_over.wp_argv = [php, "-d", "memory_limit=300M", phar]
    try:
        told = _told(handing_over, "listen", f"--require={extra}", "--skip-themes", "--user=1", "--allow-root")
    finally:
        handing_over.wp_argv = [php, phar]
    words = shlex.split(told["wp"])
    assert words[1:4] == ["-d", "memory_limit=300M", phar]
    assert set(words[4:]) == {f"--require={extra}", "--skip-themes", "--user=1", "--allow-root"}


def test_the_process_stays_and_keeps_no_connection(handing_over: Site) -> None:
    process = handing_over.start([*handing_over.wp_argv, f"--path={handing_over.path}", "background-worker"])
    assert process.wait() == 0
    told = json.loads(process.stdout_lines[-1])
    assert told["pid"] == process.pid
    assert told["open"] == []


@pytest.mark.parametrize(
    "said", ["nonsense", "listen nonsense", "listen --queue_name", "listen --queue_name=", "listen --queue q"]
)
def test_what_is_not_understood_is_wrong_usage(handing_over: Site, said: str) -> None:
    done = handing_over.wp("background-worker", *said.split(), check=False)
    assert done.returncode == 2
    assert "Error: " in done.stderr


def test_a_wrong_wpbg_bin_is_named(handing_over: Site) -> None:
    nowhere = str(handing_over.folder / "nowhere")
    done = handing_over.wp("background-worker", check=False, env={"WPBG_BIN": nowhere})
    assert (done.returncode, nowhere in done.stderr) == (3, True)
    text = handing_over.folder / "text"
    text.write_text("neither a script nor a binary")
    text.chmod(0o755)
    done = handing_over.wp("background-worker", check=False, env={"WPBG_BIN": str(text)})
    assert done.returncode == 3
    assert done.stderr.strip() == f"Error: {text} could not be started: Exec format error."


def test_without_pcntl_it_names_the_package(handing_over: Site) -> None:
    php, phar = handing_over.wp_argv
    handing_over.wp_argv = [php, "-d", "disable_functions=pcntl_exec", phar]
    try:
        done = handing_over.wp("background-worker", check=False)
    finally:
        handing_over.wp_argv = [php, phar]
    assert done.returncode == 3
    assert "pcntl" in done.stderr and "php-cli" in done.stderr


def test_help_shows_the_options(handing_over: Site) -> None:
    text = handing_over.wp("help", "background-worker").stdout
    assert "--queue_name=<queue>" in text
    assert "wp background-worker listen --queue_name=special_queue --name=w1" in text
