"""What is known of a site: asked once, through WP-CLI, and the only place that asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wpbg.errors import PluginNotReady
from wpbg.wp import WpCli

PROBE = """
$c=function($n,$d=null){return defined($n)?constant($n):$d;};
$answer=array(
'path'=>ABSPATH,'url'=>(string)get_option('siteurl'),'wordpress'=>$GLOBALS['wp_version'],'php'=>PHP_VERSION,
'extensions'=>array_map('strtolower',get_loaded_extensions()),
'no_fork'=>is_callable($f=array('Background_Worker\\\\Fork_Lifetime','missing'))?$f():array(),'multisite'=>is_multisite(),
'blog'=>get_current_blog_id(),'plugin_dir'=>WP_PLUGIN_DIR,'owner'=>(int)@fileowner(ABSPATH.'wp-load.php'),
'engine'=>'sqlite'===$c('DB_ENGINE')&&defined('FQDB')?'sqlite':'mysql','file'=>$c('FQDB'),
'host'=>$c('DB_HOST',''),'user'=>$c('DB_USER',''),'password'=>$c('DB_PASSWORD',''),'name'=>$c('DB_NAME',''),
'charset'=>$c('DB_CHARSET',''),'flags'=>(int)$c('MYSQL_CLIENT_FLAGS',0),
'ssl_ca'=>$c('MYSQL_SSL_CA'),'ssl_cert'=>$c('MYSQL_SSL_CERT'),'ssl_key'=>$c('MYSQL_SSL_KEY'),
'socket'=>(string)ini_get('mysqli.default_socket'),'port'=>(int)ini_get('mysqli.default_port'),
'prefix'=>$GLOBALS['wpdb']->base_prefix,'plugin'=>$c('BACKGROUND_WORKER_VERSION'),
'plugin_file'=>$c('BACKGROUND_WORKER_FILE'),
'older_plugin'=>function_exists('async_background_worker_install_db'),
'schema'=>(int)get_site_option('ABW_DB_VERSION',0),
'lane'=>class_exists('Background_Worker\\\\Lane')?Background_Worker\\Lane::facts():null,
'bell'=>class_exists('Background_Worker\\\\Doorbell')?Background_Worker\\Doorbell::facts():null,
'constants'=>array_filter(array_combine($k=array('ABW_QUEUE_NAME','ABW_TIMELIMIT','ABW_SLEEP','ABW_NO_JOB_PERIOD',
'ABW_DEBUG','BACKGROUND_WORKER_LOG','ABW_BACKEND','ABW_RETENTION_DAYS','WP_MAX_MEMORY_LIMIT','DISABLE_WP_CRON'),
array_map($c,$k)),function($v){return null!==$v;}))
"""

BLOG_KNOWN = 30.0
"""Seconds for which a blog's URL is taken to be the same: blogs are renamed and deleted."""


@dataclass(frozen=True)
class Site:
    """A site as WP-CLI tells of it. `plugin` is the version of the active plugin or None; `no_fork` the functions
    that its PHP lacks for forking."""

    wp: WpCli
    path: str
    url: str
    wordpress: str
    php: str
    plugin: str | None
    schema: int
    multisite: bool
    main_blog: int
    plugin_dir: str
    owner: int
    older_plugin: bool
    extensions: frozenset[str]
    no_fork: tuple[str, ...]
    constants: dict[str, Any]
    database: dict[str, Any] = field(repr=False)
    lane: dict[str, Any] | None = field(repr=False)
    bell: dict[str, Any] | None = field(repr=False)
    _blogs: dict[int, tuple[float, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def ask(cls, wp: WpCli, meanwhile: Callable[[], None] | None = None) -> Site:
        """Boot the site once and read what we need; `meanwhile` is called while it boots. Raises a `SiteError`, or
        `QueueUnreachable` for its database."""
        told = wp.eval_json(" ".join(PROBE.split("\n")), meanwhile=meanwhile)
        return cls(
            wp=wp,
            path=told["path"],
            url=told["url"],
            wordpress=told["wordpress"],
            php=told["php"],
            plugin=told["plugin"],
            schema=told["schema"],
            multisite=told["multisite"],
            main_blog=told["blog"],
            plugin_dir=told["plugin_dir"],
            owner=told["owner"],
            older_plugin=told["older_plugin"],
            extensions=frozenset(told["extensions"]),
            no_fork=tuple(told["no_fork"]),
            constants=told["constants"],
            lane=told["lane"],
            bell=told["bell"],
            database={
                key: told[key]
                for key in (
                    *("engine", "file", "host", "user", "password", "name", "charset", "flags"),
                    *("ssl_ca", "ssl_cert", "ssl_key", "socket", "port", "prefix"),
                )
            },
        )

    def need_plugin(self) -> None:
        """Raises `PluginNotReady` unless the plugin is active and its tables are there."""
        if self.plugin is None:
            raise PluginNotReady(
                f"The Background Worker plugin is not active on {self.url}: run `wpbg install` (or activate it in "
                "wp-admin)."
            )
        if self.schema == 0:
            raise PluginNotReady(
                f"The tables of the Background Worker plugin are missing on {self.url}: run `wpbg install`."
            )

    def blog_url(self, blog_id: int) -> str | None:
        """The URL of a blog of the network; None for the site's own, and where there is no network."""
        if not self.multisite or blog_id in (0, self.main_blog):
            return None
        asked, known = self._blogs.get(blog_id, (0.0, ""))
        if known and time.monotonic() - asked < BLOG_KNOWN:
            return known
        code = f"$s=get_site({int(blog_id)});$answer=$s?(string)get_site_url({int(blog_id)}):null"
        url = self.wp.eval_json(code)
        if url is None:
            self.forget_blog(blog_id)
            return None  # Deleted since: the bridge will say so for the job.
        self._blogs[blog_id] = time.monotonic(), url
        return str(url)

    def forget_blog(self, blog_id: int) -> None:
        """Ask anew for its URL next time."""
        self._blogs.pop(blog_id, None)

    @property
    def folder(self) -> Path:
        """The folder WP-CLI is called in."""
        return self.wp.cwd
