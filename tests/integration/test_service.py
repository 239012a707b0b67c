"""`wpbg service`: what it prints for a site, read by the real supervisord and systemd."""

from __future__ import annotations

import configparser
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from tests.support.need import ROOT, require
from tests.support.site import Site
from tests.support.sites import Sites
from wpbg.errors import UsageError
from wpbg.service import Service, bundled, render, service_name

ME = pwd.getpwuid(os.geteuid()).pw_name


def printed(site: Site, *args: str) -> str:
    done = site.wpbg("service", *args, check=True)
    assert done.stderr == ""
    return done.stdout


def verify(text: str, folder: Path, name: str = "wpbg-site.test") -> str:
    """What `systemd-analyze verify` complains of in the unit."""
    unit = folder / f"{name}@.service"
    unit.write_text(text)
    analyze = require("systemd-analyze", "systemd")
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    return done.stdout + done.stderr


def setting(text: str, key: str) -> str:
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}="))


def test_for_supervisord(sqlite71: Site) -> None:
    text = printed(
        sqlite71, "supervisord", "--processes", "3", "--queue", "mail", "--queue", "default", "--mode", "fork",
        "--concurrency", "2", "--grace", "240",
    )  # fmt: skip
    parsed = configparser.RawConfigParser()
    parsed.read_string(text)
    assert parsed.sections() == ["program:wpbg-site.test"]
    program = dict(parsed["program:wpbg-site.test"])
    assert program["user"] == ME
    assert program["numprocs"] == "3"
    assert program["directory"] == str(sqlite71.path)
    assert program["stopsignal"] == "TERM"
    assert int(program["stopwaitsecs"]) == 270
    wanted = "--queue mail --queue default --mode fork --concurrency 2 --grace 240"
    assert program["command"].endswith(f"listen --path {sqlite71.path} --wp {sqlite71.wp_bin} {wanted}")
    assert "/etc/supervisor/conf.d/wpbg-site.test.conf" in text


def test_for_systemd(sqlite71: Site, tmp_path: Path) -> None:
    text = printed(sqlite71, "systemd", "--processes", "3", "--metrics", "127.0.0.1:9100", "--grace", "600")
    assert verify(text, tmp_path) == ""
    assert setting(text, "User") == ME
    assert setting(text, "TimeoutStopSec") == "630"
    assert setting(text, "ExecStart").endswith("--grace 600 --metrics 127.0.0.1:%i")
    assert "systemctl enable --now wpbg-site.test@{9100..9102}" in text


def test_the_file_as_it_is_lacks_nothing_but_the_program(tmp_path: Path) -> None:
    said = verify((ROOT / "supervisor/wpbg@.service").read_text(), tmp_path).splitlines()
    assert [line for line in said if "/opt/wpbg/bin/wpbg is not executable" not in line] == []
    broken = (ROOT / "supervisor/wpbg@.service").read_text().replace("KillMode=mixed", "KillMode=some")
    assert "Failed to parse kill mode" in verify(broken, tmp_path)


def test_names_of_services() -> None:
    assert service_name("https://Example.org") == "wpbg-example.org"
    assert service_name("https://example.org:8080/shop/") == "wpbg-example.org-shop"
    assert service_name("http://xn--bcher-kva.example/") == "wpbg-xn-bcher-kva.example"
    assert service_name("") == "wpbg"


HOSTILE = '/srv/a b/100%/$HOME/"quoted"/it\'s'


def service(*command: str) -> Service:
    return Service("wpbg-x", Path(HOSTILE), os.geteuid(), command, metrics=("::1", 9100))


def test_words_that_managers_would_expand_arrive_as_they_are(tmp_path: Path) -> None:
    """systemd-analyze and supervisord's own parser read them."""
    argv = ("/bin/echo", HOSTILE, "--queue", "a;b", "\\n", "%n %(program_name)s", "*")
    text = render("systemd", service(*argv))
    assert "Unknown" not in verify(text, tmp_path, "wpbg-x")
    dump = subprocess.run(
        ["/usr/bin/python3", "-c", READ, str(_supervisor_config(render("supervisord", service(*argv)), tmp_path))],
        capture_output=True,
        text=True,
    )
    if "No module named 'supervisor'" in dump.stderr:
        pytest.skip("supervisord is not the system Python's here")
    assert dump.stdout.split("\0") == [*argv, "--metrics", "[::1]:9100"], dump.stderr


READ = """
import shlex, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", sys.argv[1], "-n"])
program = options.process_group_configs[0].process_configs[0]
sys.stdout.write("\\0".join(shlex.split(program.command)))
"""


def _supervisor_config(text: str, folder: Path) -> Path:
    file = folder / "main.conf"
    about = f"[supervisord]\nuser={ME}\nlogfile={folder}/log\npidfile={folder}/pid\nchildlogdir={folder}\n"
    text = text.replace("/var/log/supervisor", str(folder)).replace(f"directory={HOSTILE.replace('%', '%%')}", "")
    file.write_text(about + text)
    return file


@pytest.mark.parametrize(("kind", "word"), [("supervisord", "a ;b"), ("supervisord", "a\nb"), ("systemd", "a\x1bb")])
def test_what_a_file_cannot_hold_is_refused(kind: str, word: str) -> None:
    with pytest.raises(UsageError):
        render(kind, Service("wpbg-x", Path("/srv"), os.geteuid(), ("/bin/echo", word)))


def test_wrong_usage(sqlite71: Site) -> None:
    for args in (
        ("upstart",),
        ("systemd", "--user", "no-such-user"),
        ("systemd", "--metrics", "127.0.0.1:65535", "--processes", "3"),
        ("systemd", "--name", "a b"),
        ("systemd", "--queue", "\x1b"),
    ):
        done = sqlite71.wpbg("service", *args)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


def test_both_files_are_carried_along() -> None:
    for kind in ("supervisord", "systemd"):
        assert "/opt/wpbg/bin/wpbg listen --path /var/www/site" in bundled(kind)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_is_refused_on_somebody_elses_site(sites: Sites) -> None:
    site = sites.clone("sqlite71")
    uploads = site.path / "wp-content/uploads"
    uploads.mkdir(exist_ok=True)
    os.chown(uploads, 65534, 65534)
    name = pwd.getpwuid(65534).pw_name
    ran = site.folder / "ran"
    site.mu_plugin("ran", f"touch( '{ran}' );")
    for args in (("install",), ("run",), ("listen", "--stop-when-empty"), ("status",), ("service", "systemd")):
        done = site.wpbg(*args, env={"WP_CLI_ALLOW_ROOT": ""})
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith(f"wpbg: You are root, and the site in {site.path} belongs to {name}:")
        assert f"Run `sudo -u {name} wpbg {args[0]} " in done.stderr
        assert done.stderr.count("\n") == 1
    done = site.wpbg("doctor", env={"WP_CLI_ALLOW_ROOT": ""})
    assert done.returncode == 3
    assert f"FAIL  User: You are root, and the site in {site.path} belongs to {name}:" in done.stdout
    assert f"next: sudo -u {name} wpbg doctor --path {site.path}\n" in done.stdout
    assert not ran.exists(), "not even to look for faults"
    assert site.wpbg("run", "--allow-root", env={"WP_CLI_ALLOW_ROOT": ""}).returncode == 0
    assert ran.exists()
    text = site.wpbg("service", "systemd", "--allow-root", check=True).stdout
    assert f"User={name}\n" in text
    first = next(line for line in text.splitlines() if " > /etc/systemd/system/" in line)
    assert first.startswith(f"#   sudo -u {name} "), "root may write there, the site's user may look at the site"
    assert " service systemd --path " in first
    assert "--allow-root" not in first
    done = site.wp("background-worker", "run", "--allow-root", env={"WP_CLI_ALLOW_ROOT": ""}, check=False)
    assert done.returncode == 0, "root who told WP-CLI need not tell again"
    sites.close(site)


def test_the_php_of_the_set_up_is_the_php_of_the_service(sqlite71: Site, tmp_path: Path) -> None:
    """One that systemd and supervisord would not find, or would find another in the place of."""
    folder = sqlite71.folder / "php 100%"
    folder.mkdir()
    php = folder / "php"
    php.write_text(f'#!/bin/sh\nexec {sqlite71.wp_argv[0]} "$@"\n')
    php.chmod(0o755)
    for kind in ("systemd", "supervisord"):
        assert "PATH=" not in printed(sqlite71, kind), "where the usual one is used"
        done = sqlite71.wpbg("service", kind, env={"PATH": f"{folder}:{sqlite71.env['PATH']}"}, check=True)
        there = str(folder).replace("%", "%%")
        if kind == "systemd":
            assert f'Environment="PATH={there}:/usr/local/sbin:' in done.stdout
            assert verify(done.stdout, tmp_path) == ""
        else:
            parsed = configparser.RawConfigParser()
            parsed.read_string(done.stdout)
            assert f',PATH="{there}:/usr/local/sbin:' in parsed["program:wpbg-site.test"]["environment"]
