"""WordPress, the plugin and its tables, who runs jobs, and the limits they run under."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wpbg import plugin
from wpbg.doctor.finding import Finding, failed, wrong
from wpbg.doctor.machine import Machine, version
from wpbg.errors import WpbgError
from wpbg.settings import worker_settings
from wpbg.site import Site
from wpbg.webuser import user_name, web_user
from wpbg.wp import WORKER_EXEC, WpCli

WORDPRESS_MINIMUM = (6, 1)

# Started as a job is, so that the limits are those of a job.
ASK = (
    "$server=$engines=array();if(!defined('DB_ENGINE')||'sqlite'!==DB_ENGINE){$w=$GLOBALS['wpdb'];$server=array_merge("
    'array_column((array)$w->get_results("SHOW GLOBAL VARIABLES WHERE Variable_name IN'
    " ('read_only','max_allowed_packet','max_connections')\",ARRAY_N),1,0),"
    "array_column((array)$w->get_results(\"SHOW GLOBAL STATUS LIKE 'Threads_connected'\",ARRAY_N),1,0));"
    '$engines=array_column((array)$w->get_results("SHOW TABLE STATUS LIKE \'".$w->esc_like($w->base_prefix."bg_")."%\'"'
    ",ARRAY_N),1,0);}"
    "$o=@fileowner(ABSPATH.'wp-load.php');$p=function_exists('posix_getpwuid')?posix_getpwuid($o):null;"
    "$answer=array('owner'=>$p?$p['name']:(string)$o,'content'=>WP_CONTENT_DIR,'writable'=>is_writable(WP_CONTENT_DIR),"
    "'memory'=>(string)WP_MAX_MEMORY_LIMIT,'cron'=>!(defined('DISABLE_WP_CRON')&&DISABLE_WP_CRON),"
    "'time'=>microtime(true),'server'=>$server,'engines'=>$engines,"
    "'missing'=>class_exists('Background_Worker\\\\Schema')?\\Background_Worker\\Schema::missing():null)"
)


@dataclass(frozen=True)
class Inside:
    """What only a booted site can say. `missing` is None where the plugin is not there to be asked."""

    owner: str
    content: str
    writable: bool
    memory: str
    cron: bool
    missing: list[str] | None
    time: float
    server: dict[str, str]
    engines: dict[str, str]

    @classmethod
    def ask(cls, wp: WpCli) -> Inside:
        """Boot the site as a worker does. Raises a `SiteError`."""
        worker = replace(wp, words=(*wp.words, f"--exec={WORKER_EXEC}"))
        told: dict[str, Any] = worker.eval_json(ASK)
        # PHP writes an empty array as a list.
        return cls(**{**told, "server": dict(told["server"]), "engines": dict(told["engines"])})


def check_site(wp: WpCli, site: Site, machine: Machine) -> Iterator[Finding]:
    """Everything that WordPress can tell."""
    yield _wordpress(site)
    yield _driver(site)
    yield _plugin(site)
    yield _older_plugin(site)
    inside = Inside.ask(wp)
    if site.plugin is not None:
        yield _tables(inside)
    yield _user(site, machine, inside)
    yield _limits(site, inside)
    yield from check_clock(time.time() - inside.time)
    yield from check_server(inside.server, inside.engines)
    cron = "On" if inside.cron else "Off for visitors (DISABLE_WP_CRON)"
    yield Finding("WP-Cron", f"{cron}. Background jobs do not need it.", info=True)


def _wordpress(site: Site) -> Finding:
    if version(site.wordpress) < WORDPRESS_MINIMUM:
        return wrong(
            "WordPress",
            f"{site.wordpress} is too old: 6.1 or newer is needed.",
            "wp core update",
        )
    return Finding("WordPress", f"{site.wordpress}{' (network)' if site.multisite else ''} at {site.url}")


def _driver(site: Site) -> Finding:
    """The extension by which PHP speaks to the site's database."""
    name, package = ("pdo_sqlite", "php-sqlite3") if site.database["engine"] == "sqlite" else ("mysqli", "php-mysql")
    if name in site.extensions:
        return Finding("PHP database driver", name)
    return wrong("PHP database driver", f"PHP's {name} extension is missing.", f"apt-get install {package}")


def _plugin(site: Site) -> Finding:
    try:
        site.need_plugin()
        ours = plugin.bundled_version()
    except WpbgError as error:
        return replace(failed("Plugin", error), next="wpbg install")
    if site.plugin != ours:
        return wrong(
            "Plugin",
            f"The site has version {site.plugin} of the plugin, this wpbg brings {ours}: they should be the same.",
            "wpbg install",
        )
    return Finding("Plugin", f"Background Worker {site.plugin} is active")


def _older_plugin(site: Site) -> Finding:
    if site.older_plugin:
        return wrong(
            "Older plugin",
            "Async Background Worker is active as well: it declares the same functions and takes the same jobs.",
            "wp plugin deactivate async-background-worker",
        )
    return Finding("Older plugin", "Async Background Worker is not active beside it")


def _tables(inside: Inside) -> Finding:
    if inside.missing is None:
        return wrong("Tables", "The plugin that is active is not the one that this wpbg brings.", "wpbg install")
    if inside.missing:
        return wrong("Tables", f"Missing: {', '.join(inside.missing)}.", "wpbg install")
    return Finding("Tables", "All columns and indexes are there")


def _user(site: Site, machine: Machine, inside: Inside) -> Finding:
    """Whether what jobs write will belong to somebody whose files the site can change."""
    writes = web_user(site.wp.cwd)
    owner = user_name(writes) if site.owner == 0 and writes else inside.owner
    again = f"sudo -u {owner} wpbg doctor"
    if machine.uid is None or (machine.uid == site.owner and (machine.uid or not writes)):
        return Finding("User", f"{machine.user}, who owns the site's files")
    if machine.uid == 0 and (site.owner or web_user(site.wp.cwd)):
        return wrong(
            "User",
            f"Jobs would run as root, but the site's files belong to {owner}: the site could not change what "
            "jobs write.",
            again,
        )
    if not inside.writable:
        return wrong(
            "User",
            f"Jobs would run as {machine.user}, who may not write to {inside.content}: it belongs to {inside.owner}.",
            again,
        )
    return Finding("User", f"{machine.user}; the files belong to {inside.owner}, wp-content is writable", info=True)


CLOCK = 5.0
"""Seconds by which clocks may differ before somebody should know."""


def check_clock(difference: float) -> Iterator[Finding]:
    """`difference` is this machine's clock less that of the one WordPress runs on, in seconds."""
    if abs(difference) > CLOCK:
        yield wrong(
            "Clock of WordPress",
            f"The machine that WordPress runs on is {abs(difference):.0f} s "
            f"{'behind' if difference > 0 else 'ahead of'} this one: run_at is wrong by as much.",
            "timedatectl set-ntp true",
        )


SMALLEST_PACKET = 4 * 2**20
"""Bytes. Less is no server's default, and payloads, results and outputs are kept in one row."""

FEWEST_CONNECTIONS = 10


def check_server(server: Mapping[str, str], engines: Mapping[str, str]) -> Iterator[Finding]:
    """What a MariaDB or MySQL server would refuse. Nothing is said of what is as it should be."""
    if server.get("read_only", "OFF") not in ("OFF", "0"):
        yield wrong(
            "Database limits",
            "The database server is read-only (a replica?): no job can be added or taken. Name the primary in DB_HOST.",
            "wp config get DB_HOST",
            exit_code=4,
        )
    packet = int(server.get("max_allowed_packet") or SMALLEST_PACKET)
    if packet < SMALLEST_PACKET:
        yield wrong(
            "Database limits",
            f"max_allowed_packet is {packet:,} bytes: jobs with more data are refused, longer output is cut. Set it in "
            "the server's configuration as well, or it is forgotten when the server ends.",
            'sudo mysql -e "SET GLOBAL max_allowed_packet = 67108864"',
        )
    free = int(server.get("max_connections") or 0) - int(server.get("Threads_connected") or 0)
    if server.get("max_connections") and free < FEWEST_CONNECTIONS:
        yield wrong(
            "Database limits",
            f"max_connections is {server['max_connections']}, and {server['Threads_connected']} are in use: a worker "
            "needs two for each of its slots. Set it in the server's configuration as well.",
            f'sudo mysql -e "SET GLOBAL max_connections = {int(server["max_connections"]) + 100}"',
        )
    unsafe = sorted(name for name, engine in engines.items() if engine and engine.lower() != "innodb")
    if unsafe:
        yield wrong(
            "Tables",
            f"{', '.join(unsafe)} is not InnoDB but {engines[unsafe[0]]}: without row locks and transactions, workers "
            "stand in each other's way and jobs may be lost in a crash.",
            f'wp db query "ALTER TABLE {unsafe[0]} ENGINE=InnoDB"',
        )


def _limits(site: Site, inside: Inside) -> Finding:
    try:
        seconds = worker_settings(site).time_limit
    except WpbgError as error:
        return failed("Limits", error)
    memory = "no memory limit" if inside.memory == "-1" else f"memory {inside.memory} (WP_MAX_MEMORY_LIMIT)"
    return Finding("Limits", f"{memory}, {f'{seconds} s' if seconds else 'no limit'} a job (ABW_TIMELIMIT)")
