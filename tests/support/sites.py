"""Making sites: a template of each kind once per test run, then cheap clones of it."""

from __future__ import annotations

import itertools
import shutil
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support import opcache
from tests.support.cores import Cores
from tests.support.mariadb import MariaDB
from tests.support.need import ROOT, require_part
from tests.support.site import ADMIN, ADMIN_PASSWORD, URL, Site

NETWORK = {
    "WP_ALLOW_MULTISITE": True,
    "MULTISITE": True,
    "SUBDOMAIN_INSTALL": False,
    "DOMAIN_CURRENT_SITE": URL.removeprefix("http://"),
    "PATH_CURRENT_SITE": "/",
    "SITE_ID_CURRENT_SITE": 1,
    "BLOG_ID_CURRENT_SITE": 1,
}


@dataclass(frozen=True)
class Kind:
    """What a template is made of: a WordPress in .parts/, a database engine, one site or a network."""

    wordpress: str
    mariadb: bool
    network: bool = False


KINDS = {
    "sqlite71": Kind("wordpress", mariadb=False),
    "maria71": Kind("wordpress", mariadb=True),
    "maria61": Kind("wordpress-older", mariadb=True),
    "multisite": Kind("wordpress", mariadb=True, network=True),
}


class Sites:
    """The sites of one test run, below `folder`, and the MariaDB server that they share.

    With `cached`, WP-CLI takes the code of WordPress from OPcache's file cache, where wpbg's own is not in use.
    """

    def __init__(self, folder: Path, *, cached: bool = False) -> None:
        self.folder = folder
        self._cores = Cores(folder / "cores")
        self._php_flags = opcache.flags(folder / "opcache") if cached else []
        self._templates: dict[tuple[str, MariaDB | None], Site] = {}
        self._open: list[Site] = []
        self._numbers = itertools.count(1)

    @cached_property
    def mariadb(self) -> MariaDB:
        """Started when it is first asked for."""
        return MariaDB(self.folder / "mariadb")

    def clone(self, name: str, server: MariaDB | None = None) -> Site:
        """A site of that kind of its own, with the plugin active; on `server` instead of the common one."""
        template = self.template(name, server)
        site = self._new(name, template.server)
        self._cores.put(template.path, site.path)
        shutil.copytree(template.path / "wp-content", site.path / "wp-content", symlinks=True)
        site.configure(**template.constants)
        if site.server:
            _copy_database(site.server, template.database, site.database)
        return site

    def template(self, name: str, server: MariaDB | None = None) -> Site:
        """The site that clones of this kind are made from; made on first use. Leave it as it is."""
        kind = KINDS[name]
        if kind.mariadb and server is None:
            server = self.mariadb
        key = (name, server)
        if key not in self._templates:
            self._templates[key] = self._build(name, kind, server if kind.mariadb else None)
        return self._templates[key]

    def close(self, site: Site) -> None:
        self._open.remove(site)
        site.end_processes()
        self._cores.keep(site.path)
        site.close()

    def close_on(self, server: MariaDB) -> None:
        """Close the sites and templates of a server that is about to go."""
        for site in [site for site in self._open if site.server is server]:
            self.close(site)
        self._templates = {key: site for key, site in self._templates.items() if key[1] is not server}

    def close_all(self) -> None:
        if "mariadb" in self.__dict__:
            self.mariadb.kill()  # Its folder goes next: no database has to be dropped, and nothing written.
        for site in list(self._open):
            self.close(site)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self, name: str, server: MariaDB | None) -> Site:
        database = f"wp_{name}_{next(self._numbers)}" if server else None
        # The folder of a site that is gone is used again: it is the path by which OPcache knows a file.
        folders = (self.folder / f"{name}-{number}" for number in itertools.count(1))
        folder = next(folder for folder in folders if not folder.exists())
        site = Site(name, folder, server=server, database=database, php_flags=self._php_flags)
        self._open.append(site)
        return site

    def _build(self, name: str, kind: Kind, server: MariaDB | None) -> Site:
        site = self._new(name, server)
        site.path.mkdir()
        _copy_wordpress(require_part(kind.wordpress), site.path)
        content = site.path / "wp-content"
        shutil.copytree(ROOT / "php-plugin", content / "plugins/background-worker")
        if server:
            server.execute(f"CREATE DATABASE `{site.database}` CHARACTER SET utf8mb4")
        else:
            drop_in = content / "plugins/sqlite-database-integration"
            shutil.copytree(require_part("sqlite-database-integration"), drop_in)
            shutil.copy(drop_in / "db.copy", content / "db.php")
        site.configure()
        about = [f"--url={URL}", "--title=Test", f"--admin_user={ADMIN}"]
        about += [f"--admin_password={ADMIN_PASSWORD}", "--admin_email=admin@site.test", "--skip-email"]
        if kind.network:
            site.wp("core", "multisite-install", *about, "--skip-config")
            site.configure(**NETWORK)
            for slug in ("two", "three"):
                site.wp("site", "create", f"--slug={slug}")
            site.wp("plugin", "activate", "background-worker", "--network")
        else:
            site.wp("core", "install", *about)
            site.wp("plugin", "activate", "background-worker")
        return site


def _copy_wordpress(source: Path, target: Path) -> None:
    """WordPress without the plugins it ships and with the newest of its themes only."""
    themes = sorted((source / "wp-content/themes").glob("twenty*"))

    def left_out(folder: str, names: list[str]) -> set[str]:
        if Path(folder) == source / "wp-content/plugins":
            return set(names)
        if Path(folder) == source / "wp-content/themes":
            return set(names) - {theme.name for theme in themes[-1:]}
        return set()

    shutil.copytree(source, target, symlinks=True, ignore=left_out, dirs_exist_ok=True)


def _copy_database(server: MariaDB, source: str, target: str) -> None:
    with closing(server.connect(root=True)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{target}` CHARACTER SET utf8mb4")
        cursor.execute(f"SHOW TABLES IN `{source}`")
        for row in cursor.fetchall():
            (table,) = row.values()
            cursor.execute(f"CREATE TABLE `{target}`.`{table}` LIKE `{source}`.`{table}`")
            cursor.execute(f"INSERT INTO `{target}`.`{table}` SELECT * FROM `{source}`.`{table}`")
