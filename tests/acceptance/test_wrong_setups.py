"""What is wrong is said in one line, with an exit code, and without a traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.mariadb import MariaDB
from tests.support.site import Site
from tests.support.sites import Sites


def _one_line(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == code, said
    assert "Traceback" not in said
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, said
    assert lines[0].startswith("wpbg: ")
    for part in parts:
        assert part in lines[0], said


COMMANDS = (["listen"], ["run"], ["status"], ["jobs", "list"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_wordpress_at_the_path(sqlite71: Site, tmp_path: Path, command: list[str]) -> None:
    argv = [*sqlite71.wpbg_argv(*command)[:-1], str(tmp_path)]
    done = subprocess.run(argv, env=sqlite71.env, capture_output=True, text=True)
    _one_line(done, 3, "no WordPress in", str(tmp_path), "--path")


def test_no_such_folder(sqlite71: Site, tmp_path: Path) -> None:
    argv = [*sqlite71.wpbg_argv("listen")[:-1], str(tmp_path / "nowhere")]
    done = subprocess.run(argv, env=sqlite71.env, capture_output=True, text=True)
    _one_line(done, 3, "is not a folder")


def test_no_wordpress_here_or_above(sqlite71: Site, tmp_path: Path) -> None:
    argv = sqlite71.wpbg_argv("listen")[:-2]
    done = subprocess.run(argv, env=sqlite71.env, cwd=tmp_path, capture_output=True, text=True)
    _one_line(done, 3, "no WordPress", "WPBG_PATH")


def test_the_nearest_wordpress_upwards_is_the_site(sqlite71: Site) -> None:
    argv = sqlite71.wpbg_argv("status", "--format", "json")[:-2]
    done = subprocess.run(
        argv, env=sqlite71.env, cwd=sqlite71.path / "wp-content/plugins", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(sqlite71.path) in done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_wp_cli(sqlite71: Site, tmp_path: Path, command: list[str]) -> None:
    _one_line(sqlite71.wpbg(*command, env={"PATH": str(tmp_path)}), 3, "'wp' is not a program", "--wp")


def test_no_php(sqlite71: Site, tmp_path: Path) -> None:
    wp = tmp_path / "wp"
    wp.write_text("#!/usr/bin/env php\n")
    wp.chmod(0o755)
    (tmp_path / "env").symlink_to("/usr/bin/env")
    _one_line(sqlite71.wpbg("listen", env={"PATH": str(tmp_path)}), 3, "PHP is not", "php-cli")


def test_plugin_inactive(sqlite71: Site) -> None:
    sqlite71.wp("plugin", "deactivate", "background-worker")
    for command in COMMANDS:
        _one_line(sqlite71.wpbg(*command), 3, "plugin is not active", "wpbg install")


def test_install_mends_an_inactive_plugin(sqlite71: Site) -> None:
    sqlite71.wp("plugin", "deactivate", "background-worker")
    sqlite71.wpbg("install", check=True)
    again = sqlite71.wpbg("install", check=True)
    assert "active" in again.stdout
    sqlite71.mu_plugin("quick", "function quick() { return 1; }")
    job = sqlite71.enqueue("quick")
    sqlite71.wpbg("run", check=True)
    assert sqlite71.job(job)["status"] == "completed"


def test_a_site_that_is_broken_says_where(sqlite71: Site) -> None:
    sqlite71.mu_plugin("broken", "this is not php;")
    _one_line(sqlite71.wpbg("listen"), 3, "broken.php")


def test_a_site_that_breaks_later_costs_no_attempt(sqlite71: Site) -> None:
    sqlite71.mu_plugin("quick", "function quick() { return 1; }")
    job = sqlite71.enqueue("quick")
    flag = sqlite71.folder / "broken"
    sqlite71.mu_plugin("sometimes", f"if ( defined( 'DOING_BG_WORKER' ) && file_exists( '{flag}' ) ) {{ nope(); }}")
    flag.touch()
    worker = sqlite71.start_wpbg("listen")
    worker.wait_for_line(r"php\.not_started .*undefined function nope\(\).*back uncounted")
    assert sqlite71.job(job)["attempts"] == 0
    flag.unlink()
    assert sqlite71.wait_for_status(job, "completed")["attempts"] == 1
    worker.terminate()
    assert worker.wait() == 0


def test_run_says_why_php_does_not_start(sqlite71: Site) -> None:
    sqlite71.mu_plugin("worker-only", "if ( defined( 'DOING_BG_WORKER' ) ) { nope(); } function quick() {}")
    job = sqlite71.enqueue("quick")
    done = sqlite71.wpbg("run")
    assert done.returncode == 3
    assert "undefined function nope()" in done.stderr.splitlines()[-1]
    assert (sqlite71.job(job)["status"], sqlite71.job(job)["attempts"]) == ("queued", 0)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_database_down(sites: Sites, private_mariadb: MariaDB, command: list[str]) -> None:
    site = sites.clone("maria71", server=private_mariadb)
    private_mariadb.stop()
    _one_line(site.wpbg(*command), 4, "database cannot be reached", "start the database server")


def test_wrong_usage(sqlite71: Site) -> None:
    _one_line(sqlite71.wpbg("listen", "--quue", "x"), 2, "--quue", "--queue", "--help")
    _one_line(sqlite71.wpbg("lisen"), 2, "Did you mean 'listen'")
    _one_line(sqlite71.wpbg("listen", "--concurrency", "0"), 2, "--concurrency")
    _one_line(sqlite71.wpbg("listen", "--max-memory", "much"), 2, "256M")
    _one_line(sqlite71.wpbg("listen", "--queue", ""), 2, "queue")


def test_not_a_number_in_wp_config(sqlite71: Site) -> None:
    sqlite71.configure(ABW_TIMELIMIT="soon")
    _one_line(sqlite71.wpbg("listen"), 2, "ABW_TIMELIMIT", "'soon'")


def test_a_full_log_disk_stops_no_work(sqlite71: Site) -> None:
    sqlite71.mu_plugin("quick", "function quick() { return 1; }")
    job = sqlite71.enqueue("quick")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            sqlite71.wpbg_argv("listen", "--stop-when-empty"), env=sqlite71.env, stdout=full, stderr=full, timeout=60
        )
    assert done.returncode == 0
    assert sqlite71.job(job)["status"] == "completed"
