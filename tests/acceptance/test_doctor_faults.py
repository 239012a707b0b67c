"""Broken set-ups, each tried for real: `wpbg doctor` names it, and the next command to type.

`pytest -s` on this file prints the table.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.need import require
from tests.support.server import free_port
from tests.support.site import Site
from tests.support.sites import Sites


@dataclass
class Fault:
    """What is broken, and what is said of it. `breaks` may give arguments or environment for the doctor.

    `mends`: the command is typed as it stands, and the doctor finds it mended. (The others need another machine's
    packages, services or people, or show where to look.)
    """

    name: str
    check: str
    said: str
    next: str
    breaks: Callable[[Site], dict[str, object] | None]
    engine: str = "sqlite71"
    then: Callable[[Site], None] = field(default=lambda site: None)
    mends: bool = False


def config(**constants: object) -> Callable[[Site], None]:
    return lambda site: site.configure(**constants)


def sql(statement: str) -> Callable[[Site], None]:
    def run(site: Site) -> None:
        site.query(statement)

    return run


def as_root(statement: str) -> Callable[[Site], None]:
    """On the test's own server."""

    def run(site: Site) -> None:
        assert site.server is not None
        with contextlib.closing(site.server.connect(root=True)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    return run


def broken_mu_plugin(site: Site) -> None:
    site.mu_plugin("broken", "<?php this is no php")


def plugin(site: Site, name: str, code: str) -> None:
    """An active plugin in a folder of its own."""
    folder = site.path / "wp-content/plugins" / name
    folder.mkdir()
    head = f"<?php /* Plugin Name: {name} */\n"
    (folder / f"{name}.php").write_text(head)
    site.wp("plugin", "activate", name)
    (folder / f"{name}.php").write_text(f"{head}{code}\n")


def broken_plugin(site: Site) -> None:
    plugin(site, "broken", "this is no php")


def older_plugin(site: Site) -> None:
    plugin(site, "async-background-worker", "function async_background_worker_install_db() {}")


def other_version(site: Site) -> None:
    main = site.path / "wp-content/plugins/background-worker/background-worker.php"
    main.write_text(main.read_text().replace("'BACKGROUND_WORKER_VERSION', '", "'BACKGROUND_WORKER_VERSION', '9"))


def inactive(site: Site) -> None:
    site.wp("plugin", "deactivate", "background-worker")


def no_wordpress(site: Site) -> None:
    (site.path / "wp-load.php").unlink()


def no_config(site: Site) -> None:
    (site.path / "wp-config.php").unlink()


def no_php(site: Site) -> dict[str, object]:
    program = site.bin / "wp-without-php"
    program.write_text("#!/usr/bin/env php-is-not-here\n")
    program.chmod(0o755)
    return {"args": ["--wp", str(program)]}


def no_wp_cli(site: Site) -> dict[str, object]:
    return {"args": ["--wp", "no-such-program"]}


def functions_switched_off(site: Site) -> dict[str, object]:
    php, phar = site.wp_argv
    return {"args": ["--wp", f"{php} -d disable_functions=pcntl_fork {phar}"]}


def without_extension(name: str, site: Site) -> dict[str, object]:
    """The same PHP without the file that loads it."""
    scanned = subprocess.run(
        [site.wp_argv[0], "-r", "echo PHP_CONFIG_FILE_SCAN_DIR;"], capture_output=True, text=True, check=True
    ).stdout
    folder = site.folder / "conf.d"
    folder.mkdir()
    found = False
    for file in Path(scanned).glob("*.ini"):
        found = found or name in file.name
        if name not in file.name:
            (folder / file.name).symlink_to(file)
    if not found:
        pytest.skip(f"this PHP has {name} built in, or not at all")
    return {"env": {"PHP_INI_SCAN_DIR": str(folder)}}


def extension_missing(site: Site) -> dict[str, object]:
    return without_extension("mbstring", site)


def no_gearman_in_php(site: Site) -> dict[str, object]:
    site.configure(ABW_BACKEND="gearman")
    return without_extension("gearman", site)


def old_php(site: Site) -> dict[str, object]:
    """A WP-CLI whose PHP says that it is an older one."""
    program = site.bin / "wp-old"
    program.write_text(f'#!/bin/sh\n{site.wp_bin} "$@" | sed \'s/"php":"[^"]*"/"php":"7.3.33"/\'\n')
    program.chmod(0o755)
    return {"args": ["--wp", str(program)]}


def old_wordpress(site: Site) -> None:
    file = site.path / "wp-includes/version.php"
    text = file.read_text()
    file.unlink()  # It is other sites' as well.
    file.write_text(f"{text}\n$wp_version = '6.0.9';\n")


def database_down(site: Site) -> None:
    site.configure(DB_HOST=f"127.0.0.1:{free_port()}")


def somebody_elses_files(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    uploads = site.path / "wp-content/uploads"
    uploads.mkdir(exist_ok=True)
    os.chown(uploads, 65534, 65534)


def late_job(site: Site) -> None:
    site.mu_plugin("callbacks", "function nothing() {}")
    site.enqueue("nothing", queue="forgotten")
    site.query(f"UPDATE {site.jobs} SET available_at = available_at - 600000")


def failed_job(site: Site) -> None:
    site.mu_plugin("callbacks", "function fails() { throw new Exception( 'no' ); }")
    site.enqueue("fails", max_attempts=1)
    site.wpbg("listen", "--stop-when-empty", check=True)


def worker_row(seconds_ago: int, version: str) -> Callable[[Site], None]:
    def insert(site: Site) -> None:
        site.query(
            f"INSERT INTO {site.table('bg_workers')} (id, name, host, pid, queues, heartbeat_at, version)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            ("h:1:0", "w1", "h", 1, '["default"]', round(time.time() * 1000) - seconds_ago * 1000, version),
        )

    return insert


def log_without_folder(site: Site) -> None:
    site.configure(BACKGROUND_WORKER_LOG=str(site.folder / "not here/worker.log"))


def log_is_a_folder(site: Site) -> None:
    (site.folder / "worker").mkdir()
    site.configure(BACKGROUND_WORKER_LOG=str(site.folder / "worker"))


def symlinked_log(site: Site) -> None:
    link = site.folder / "worker.log"
    link.symlink_to(site.folder / "elsewhere/worker.log")
    site.configure(BACKGROUND_WORKER_LOG=str(link))


def exposed_cache(site: Site) -> dict[str, object]:
    folder = site.folder / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    return {"env": {"WPBG_CACHE_DIR": str(folder)}}


def no_such_broker(backend: str, constant: str) -> Callable[[Site], None]:
    def configure(site: Site) -> None:
        at = f"127.0.0.1:{free_port()}"
        if backend == "gearman":
            site.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = array( '{at}' );")
        site.configure(ABW_BACKEND=backend, **({} if backend == "gearman" else {constant: at}))

    return configure


def something_else_listens(site: Site) -> None:
    """A server that says what gearmand does not."""
    require("php", "php-cli")
    port = free_port()
    site.start([site.wp_argv[0], "-S", f"127.0.0.1:{port}", "-t", str(site.folder / "elsewhere")])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
    site.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = array( '127.0.0.1:{port}' );")
    site.configure(ABW_BACKEND="gearman")


def in_an_hour() -> dict[str, str]:
    """What a program has to be given to see a clock that is an hour ahead."""
    program = require("faketime", "faketime")
    told = subprocess.run([program, "-f", "+1h", "env"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if line.startswith(("LD_PRELOAD=", "FAKETIME=")))


def our_clock(site: Site) -> dict[str, object]:
    return {"env": in_an_hour()}


def clock_of_wordpress(site: Site) -> dict[str, object]:
    """A PHP on a machine whose clock is ahead."""
    program = site.bin / "wp-elsewhere"
    given = " ".join(f"{name}='{value}'" for name, value in in_an_hour().items())
    program.write_text(f'#!/bin/sh\nexec env {given} {site.wp_bin} "$@"\n')
    program.chmod(0o755)
    return {"args": ["--wp", str(program)]}


def no_table(site: Site) -> None:
    site.eval_php("global $wpdb; $wpdb->query( 'DROP TABLE wp_bg_workers' );")


TABLE = [
    Fault("no WordPress in the folder", "WordPress folder", "There is no WordPress in", "wpbg doctor --path ",
          no_wordpress),
    Fault("no wp-config.php", "WordPress", "has no wp-config.php", "wp config create", no_config),
    Fault("WP-CLI is not installed", "WP-CLI", "'no-such-program' is not a program", "wpbg doctor --wp ", no_wp_cli),
    Fault("PHP is not installed", "WP-CLI", "PHP is not", "apt-get install php-cli", no_php),
    Fault("PHP is too old", "PHP", "is PHP 7.3.33; 7.4 or newer is needed", 'wpbg doctor --wp "/path/to/php', old_php),
    Fault("WordPress is too old", "WordPress", "6.0.9 is too old", "wp core update", old_wordpress),
    Fault("PHP has no gearman", "Broker", "gearman extension is missing", "apt-get install php-gearman",
          no_gearman_in_php),
    Fault("a PHP extension is missing", "PHP extensions", "mbstring missing", "apt-get install php-mbstring",
          extension_missing),
    Fault("php.ini switches functions off", "PHP extensions", "disable_functions switches off pcntl_fork", "--ini",
          functions_switched_off),
    Fault("a plugin of the site is broken", "WordPress", "broken.php", "php -l ", broken_mu_plugin),
    Fault("a plugin in a folder of its own is broken", "WordPress", "broken.php",
          "wp plugin deactivate broken --skip-plugins", broken_plugin, mends=True),
    Fault("the plugin is not active", "Plugin", "not active", "wpbg install", inactive, mends=True),
    Fault("the plugin is another version", "Plugin", "has version 9", "wpbg install", other_version, mends=True),
    Fault("the older plugin is active beside it", "Older plugin", "Async Background Worker is active",
          "wp plugin deactivate async-background-worker", older_plugin, mends=True),
    Fault("an index is missing", "Tables", "index claim of wp_bg_jobs", "wpbg install",
          sql("ALTER TABLE wp_bg_jobs DROP INDEX claim"), "maria71", mends=True),
    Fault("a table is missing", "Tables", "wp_bg_workers", "wpbg install", no_table, mends=True),
    Fault("the tables are MyISAM", "Tables", "is not InnoDB but MyISAM", "ENGINE=InnoDB",
          sql("ALTER TABLE wp_bg_jobs ENGINE=MyISAM"), "maria71", mends=True),
    Fault("root would run somebody else's site", "User", "Jobs would run as root", "sudo -u nobody wpbg doctor",
          somebody_elses_files),
    Fault("a constant is no number", "Limits", "ABW_TIMELIMIT is 'soon'", "wp config delete ABW_TIMELIMIT",
          config(ABW_TIMELIMIT="soon"), mends=True),
    Fault("the database is down", "Database", "cannot be reached", "systemctl start mariadb", database_down,
          "maria71"),
    Fault("the database is read-only", "Database limits", "read-only", "wp config get DB_HOST",
          as_root("SET GLOBAL read_only = 1"), "maria71", as_root("SET GLOBAL read_only = 0")),
    Fault("the database takes small packets only", "Database limits", "max_allowed_packet is 1,048,576",
          "SET GLOBAL max_allowed_packet", as_root("SET GLOBAL max_allowed_packet = 1048576"), "maria71",
          as_root("SET GLOBAL max_allowed_packet = 16777216"), mends=True),
    Fault("the database has no connections left", "Database limits", "max_connections is 10",
          "SET GLOBAL max_connections = 110", as_root("SET GLOBAL max_connections = 10"), "maria71",
          as_root("SET GLOBAL max_connections = 151"), mends=True),
    Fault("ABW_BACKEND is misspelt", "Broker", "it is one of database, beanstalkd, gearman",
          "wp config set ABW_BACKEND database", config(ABW_BACKEND="beanstalk"), mends=True),
    Fault("beanstalkd is down", "Broker", "beanstalkd at 127.0.0.1:", "systemctl start beanstalkd",
          no_such_broker("beanstalkd", "ABW_BEANSTALKD")),
    Fault("Gearman is down", "Broker", "Gearman at 127.0.0.1:", "systemctl start gearman-job-server",
          no_such_broker("gearman", "")),
    Fault("something else is at Gearman's port", "Broker", "is not gearmand", "ss -ltnp", something_else_listens),
    Fault("the log's folder is missing", "Log", "there is no folder", "install -d -o ", log_without_folder,
          mends=True),
    Fault("the log is a folder", "Log", "no regular file", "wp config set BACKGROUND_WORKER_LOG ", log_is_a_folder,
          mends=True),
    Fault("the log is a symbolic link", "Log", "it is a symbolic link", "wp config set BACKGROUND_WORKER_LOG ",
          symlinked_log, mends=True),
    Fault("the log is no name", "Log", "which names no file", "wp config delete BACKGROUND_WORKER_LOG",
          config(BACKGROUND_WORKER_LOG=True), mends=True),
    Fault("others can write to the OPcache folder", "OPcache", "can be written by other users", "chmod go-w ",
          exposed_cache, mends=True),
    Fault("this machine's clock is wrong", "Clock", "3600 s ahead of the database's", "timedatectl set-ntp true",
          our_clock,
          "maria71"),
    Fault("the clock of WordPress's machine is wrong", "Clock of WordPress", "3600 s ahead of this one",
          "timedatectl set-ntp true",
          clock_of_wordpress),
    Fault("no worker runs", "Workers", "No worker is running", "wpbg listen", lambda site: None),
    Fault("nobody serves a queue", "Past due", "no worker serves it", "wpbg listen --queue forgotten", late_job,
          mends=True),
    Fault("a worker was killed", "Dead workers", "w1 (h:1) for", "wpbg listen", worker_row(40, "0.1.0")),
    Fault("a worker was not started again after an upgrade", "Versions", "Workers of wpbg 0.0.9", "wpbg workers list",
          worker_row(0, "0.0.9")),
    Fault("jobs have failed", "Failed jobs", "1 job has failed", "wpbg jobs list --status failed", failed_job),
]  # fmt: skip


@pytest.fixture
def fault_site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[tuple[Fault, Site]]:
    fault: Fault = request.param
    if fault.engine == "sqlite71":
        site = sites.clone("sqlite71")
        yield fault, site
        fault.then(site)
        sites.close(site)
        return
    server = request.getfixturevalue("private_mariadb")
    server.start()
    site = sites.clone(fault.engine, server=server)
    yield fault, site
    fault.then(site)


@pytest.mark.parametrize("fault_site", TABLE, ids=lambda fault: fault.name, indirect=True)
def test_a_broken_setup_is_named_with_what_mends_it(fault_site: tuple[Fault, Site]) -> None:
    fault, site = fault_site
    how = fault.breaks(site) or {}
    args, env = how.get("args", []), how.get("env")
    assert isinstance(args, list)
    assert env is None or isinstance(env, dict)
    code, found = found_by_doctor(site, fault, args, env)
    assert code >= 1
    assert len(found) == 1
    assert "\n" not in found[0]["detail"]
    assert fault.next in str(found[0]["next"])
    print(f"\n{fault.name} | {found[0]['check']}: {found[0]['detail']} | {found[0]['next']}")
    if fault.mends:
        type_it(site, found[0]["next"], env)
        assert found_by_doctor(site, fault, args, env)[1] == [], "it is mended"


def found_by_doctor(
    site: Site, fault: Fault, args: list[str], env: dict[str, str] | None
) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and what is said of the fault."""
    done = site.wpbg("doctor", "--format", "json", *args, env=env)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    failed = [finding for finding in told if finding["status"] == "failed" and finding["check"] == fault.check]
    print(told)
    return done.returncode, [finding for finding in failed if fault.said in finding["detail"]]


def type_it(site: Site, command: str, env: dict[str, str] | None) -> None:
    """The command as it stands, where the owner of the site would type it."""
    if command.startswith("sudo mysql -e "):  # Here the server is the test's own, and its administrator no user.
        statement = shlex.split(command)[3]
        as_root(statement)(site)
        return
    if command.startswith("wpbg listen "):
        command += " --stop-when-empty"
    done = subprocess.run(
        ["bash", "-c", command], env={**site.env, **(env or {})}, cwd=site.path, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_the_table_is_long_enough() -> None:
    assert len({fault.name for fault in TABLE}) == len(TABLE) >= 15
    assert all(fault.next for fault in TABLE)
    assert sum(fault.mends for fault in TABLE) >= 15, "commands that were typed, and mended it"


# -- entries of supervisord and systemd, in folders of the test's own ----------------------------------------

SUPERVISOR = "[program:web]\ncommand=nginx\n[program:jobs]\ncommand=wp background-worker listen\ndirectory={folder}\n"
UNIT = "[Service]\nExecStart=/opt/wpbg/bin/wpbg listen --path {folder} --grace 120\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.conf", SUPERVISOR, "stopwaitsecs is 10 (the default), and the worker's --grace 60"),
        ("a.conf", SUPERVISOR + "stopwaitsecs=90\nstopsignal=KILL\n", "stopsignal is KILL"),
        ("a.conf", SUPERVISOR + "stopwaitsecs=90\nstopasgroup=true ; older\n", "stopasgroup sends"),
        ("a.conf", SUPERVISOR + "stopwaitsecs=90\n", ""),
        ("a.service", UNIT, "KillMode is control-group"),
        ("a.service", UNIT + "KillMode=mixed\n", "TimeoutStopSec is 90, and the worker's --grace 120"),
        ("a.service", UNIT + "KillMode=mixed\nTimeoutStopSec=2min 30s\n", ""),
        ("a.service", UNIT + "KillMode=mixed\nTimeoutStopSec=infinity\n", ""),
    ],
)
def test_entries_that_end_jobs_in_the_middle(tmp_path: Path, name: str, text: str, said: str) -> None:
    from wpbg.doctor.host import check_entries

    (tmp_path / name).write_text(text.format(folder="/var/www/site"))
    (finding,) = check_entries(Path("/var/www/site"), [f"{tmp_path}/*.conf", f"{tmp_path}/*.service"])
    assert finding.status == ("failed" if said else "ok")
    assert said in finding.said
    if said:
        assert finding.next == f"wpbg service {'systemd' if name.endswith('service') else 'supervisord'}"
    for other in ("/var/www/site2", "/var/www", "/var/www/site/shop"):
        (finding,) = check_entries(Path(other), [f"{tmp_path}/*.conf", f"{tmp_path}/*.service"])
        assert finding.status == "info", "an entry of another site"


def test_what_wpbg_service_prints_is_well(tmp_path: Path, sqlite71: Site) -> None:
    from wpbg.doctor.host import check_entries

    for kind, name in (("supervisord", "a.conf"), ("systemd", "a@.service")):
        (tmp_path / name).write_text(sqlite71.wpbg("service", kind, "--grace", "600", check=True).stdout)
    found = list(check_entries(sqlite71.path, [f"{tmp_path}/*.conf", f"{tmp_path}/*.service"]))
    assert [finding.status for finding in found] == ["ok", "ok"]
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("folder", ["/srv/a b", "/srv/100%n", "/srv/it's $HOME", '/srv/"quoted" \\x'])
@pytest.mark.parametrize("kind", ["supervisord", "systemd"])
def test_entries_of_sites_whose_folder_has_to_be_quoted_are_found(tmp_path: Path, kind: str, folder: str) -> None:
    from wpbg.doctor.host import check_entries
    from wpbg.service import Service, render

    site = Service("wpbg-x", Path(folder), os.geteuid(), ("/opt/wpbg/bin/wpbg", "listen", "--path", folder))
    text = render(kind, site)
    # The folder in the command line has to do: an entry need not have it anywhere else.
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("directory=", "WorkingD", "Descr")))
    (tmp_path / ("a.conf" if kind == "supervisord" else "a.service")).write_text(text)
    (finding,) = check_entries(Path(folder), [f"{tmp_path}/a.*"])
    assert finding.status == "ok", finding.said
    (finding,) = check_entries(Path(folder[:-1]), [f"{tmp_path}/a.*"])
    assert finding.status == "info"


def test_commands_are_for_the_site_that_was_meant() -> None:
    from wpbg.cli.doctor import for_this_site
    from wpbg.cli.options import Target

    here = Target(None, None, None)
    meant = Target("/srv/a b", "ddev wp", "https://b.test")
    told = {
        "wpbg install": "wpbg install --path '/srv/a b' --url https://b.test --wp 'ddev wp'",
        "sudo -u x wpbg doctor": "sudo -u x wpbg doctor --path '/srv/a b' --url https://b.test --wp 'ddev wp'",
        "wpbg doctor --wp /path/to/wp": "wpbg doctor --wp /path/to/wp --path '/srv/a b' --url https://b.test",
        "wp config delete X": "ddev wp config delete X --path='/srv/a b' --url=https://b.test",
        "systemctl start mariadb  (or: wp config get X)": "systemctl start mariadb  (or: wp config get X)",
    }
    for command, whole in told.items():
        assert for_this_site(command, here) == command
        assert for_this_site(command, meant) == whole


@pytest.mark.parametrize("kind", ["supervisord", "systemd"])
def test_an_entry_by_which_root_would_run_somebody_elses_site(tmp_path: Path, sqlite71: Site, kind: str) -> None:
    """The worker refuses that, again and again: the entry is named, and what has to be in it."""
    from wpbg.doctor.host import check_entries

    text = sqlite71.wpbg("service", kind, check=True).stdout
    somebody_elses_files(sqlite71)
    file = tmp_path / ("a.conf" if kind == "supervisord" else "a.service")
    key = "user" if kind == "supervisord" else "User"
    without = "\n".join(line for line in text.splitlines() if not line.startswith(f"{key}="))
    for entry, said in (
        (without, f"Set {key}=nobody."),
        (without.replace("stopwaitsecs=90", "stopwaitsecs=90\nuser=root").replace("Type=", "User=root\nType="),
         f"Set {key}=nobody."),
        (sqlite71.wpbg("service", kind, check=True).stdout, ""),
        (without.replace(" --grace", " --allow-root --grace"), ""),
    ):  # fmt: skip
        file.write_text(entry)
        (finding,) = check_entries(sqlite71.path, [str(file)])
        assert finding.status == ("failed" if said else "ok"), finding.said
        assert said in finding.said
