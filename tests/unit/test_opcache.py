"""The folder of OPcache's file cache: who may have it, what PHP is told, which entries it must not use."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.wait import wait_for
from wpbg import private
from wpbg.errors import SiteError
from wpbg.opcache import OpcacheFolder
from wpbg.opcache_entries import Entries
from wpbg.wp import WpCli

NOBODY = 65534
SYSTEM, OTHER_SYSTEM = "1204a070cd49210ca578dc8015bee891", "0123456789abcdef0123456789abcdef"
LONG_AGO = 1_500_000_000
DAY = 86400

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder like /tmp, with none on the way that another user may not pass."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, told: list[str]) -> Callable[..., OpcacheFolder]:
    """Makes the folder for a site, with an environment of its own."""

    def make(site: Path = tmp_path / "site", **env: object) -> OpcacheFolder:
        given = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp", **env}
        return OpcacheFolder.for_site(site, {name: str(value) for name, value in given.items()}, told.append)

    for name in ("home", "tmp", "site"):
        (tmp_path / name).mkdir()
    return make


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# --- where it is, and who may write to it --------------------------------------------------------------------


def test_it_is_in_the_users_cache_folder(make: Callable[..., OpcacheFolder], tmp_path: Path, told: list[str]) -> None:
    path = make().path
    assert path is not None
    assert path.parent == tmp_path / "home/.cache/wpbg/opcache"
    assert (path / "site").read_text() == str(tmp_path / "site")
    assert make().path == path
    assert make(site=tmp_path / "elsewhere").path != path
    assert told == []


def test_variables_name_another_place(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    mine = f"wpbg-{os.geteuid()}"
    for folder, env in (
        (tmp_path / "xdg/wpbg", {"XDG_CACHE_HOME": tmp_path / "xdg"}),
        (tmp_path / "home/.cache/wpbg", {"XDG_CACHE_HOME": "relative/paths/do/not/count"}),
        (tmp_path / "not/yet" / mine, {"XDG_CACHE_HOME": tmp_path / "xdg", "WPBG_CACHE_DIR": tmp_path / "not/yet"}),
        (tmp_path / "tmp" / mine, {"HOME": "/nonexistent"}),
    ):
        path = make(**env).path
        assert path is not None
        assert path.parent == folder / "opcache"


def test_nobody_else_can_look_into_it(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        path = make().path
    finally:
        os.umask(umask)
    assert path is not None
    made = [path, *path.parents][: len(path.relative_to(tmp_path / "home").parts)]
    assert made[-1] == tmp_path / "home/.cache"
    assert {folder: mode(folder) for folder in (*made, *path.glob("*/"))} == dict.fromkeys(
        (*made, *(path / name for name in ("ini", "shared", "entries"))), 0o700
    )


def test_a_folder_that_others_could_only_read_is_closed(make: Callable[..., OpcacheFolder]) -> None:
    path = make().path
    assert path is not None
    path.chmod(0o755)
    make()
    assert mode(path) == 0o700


@pytest.mark.parametrize("bits", [0o777, 0o720, 0o1777])
@pytest.mark.parametrize("part", ["", "..", "../..", "ini", "entries"])
def test_a_folder_that_others_could_write_is_refused(make: Callable[..., OpcacheFolder], bits: int, part: str) -> None:
    path = make().path
    assert path is not None
    (path / part).chmod(bits)
    with pytest.raises(SiteError) as error:
        make()
    assert str((path / part).resolve()) in error.value.message
    assert f"mode {bits:o}" in error.value.message
    assert "WPBG_CACHE_DIR" in error.value.message
    assert "--no-opcache" in error.value.message
    assert error.value.exit_code == 3


@pytest.mark.parametrize("variable", ["WPBG_CACHE_DIR", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("bits", [0o777, 0o775])
def test_a_named_place_that_others_could_replace_is_refused(
    make: Callable[..., OpcacheFolder], tmp_path: Path, variable: str, bits: int
) -> None:
    (tmp_path / "open/below").mkdir(parents=True)
    (tmp_path / "open").chmod(bits)
    with pytest.raises(SiteError, match=rf"{tmp_path}/open can be written by other users \(mode {bits:o}\)"):
        make(**{variable: tmp_path / "open/below"})
    (tmp_path / "open").chmod(bits | stat.S_ISVTX)
    assert make(**{variable: tmp_path / "open/below"}).path


def test_an_open_cache_folder_in_the_home_is_left_for_the_temporary_one(
    make: Callable[..., OpcacheFolder], tmp_path: Path
) -> None:
    (tmp_path / "home/.cache").mkdir()
    (tmp_path / "home/.cache").chmod(0o777)
    path = make().path
    assert path is not None
    assert (tmp_path / "tmp") in path.parents
    (tmp_path / "tmp").chmod(0o777)
    with pytest.raises(SiteError, match=f"{tmp_path}/tmp can be written by other users"):
        make()


def test_links_of_ones_own_are_followed_on_the_way(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    (tmp_path / "disk/caches").mkdir(parents=True)
    (tmp_path / "home/.cache").symlink_to("../disk/../disk/caches")
    path = make().path
    assert path is not None
    assert path.is_dir()
    (tmp_path / "disk").chmod(0o777)
    assert (tmp_path / "tmp") in (make().path or Path()).parents


@pytest.mark.parametrize("part", ["", "..", "../..", "ini", "entries"])
def test_its_own_folders_are_no_links(make: Callable[..., OpcacheFolder], tmp_path: Path, part: str) -> None:
    path = make().path
    assert path is not None
    folder = (path / part).resolve()
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    with pytest.raises(SiteError, match=f"{folder} is not a folder"):
        make()


@only_root
@pytest.mark.parametrize("planted", ["folder", "link", "file"])
def test_what_another_user_has_planted_is_refused(
    make: Callable[..., OpcacheFolder], everybodys: Path, tmp_path: Path, planted: str
) -> None:
    with acting_as(NOBODY):
        if planted == "folder":
            (everybodys / "wpbg-0").mkdir(0o700)
        elif planted == "link":
            (everybodys / "wpbg-0").symlink_to(tmp_path)
        else:
            (everybodys / "wpbg-0").touch()
    with pytest.raises(SiteError, match=r"/wpbg-0 belongs to another user \(uid 65534\)"):
        make(WPBG_CACHE_DIR=everybodys)
    with pytest.raises(SiteError, match=r"/wpbg-0 belongs to another user \(uid 65534\)"):
        make(HOME="/nonexistent", TMPDIR=everybodys)


@only_root
def test_a_link_of_another_user_on_the_way_is_refused(
    make: Callable[..., OpcacheFolder], everybodys: Path, tmp_path: Path
) -> None:
    (tmp_path / "caches").mkdir()
    with acting_as(NOBODY):
        (everybodys / "caches").symlink_to(tmp_path / "caches")
    with pytest.raises(SiteError, match="/caches belongs to another user"):
        make(WPBG_CACHE_DIR=everybodys / "caches/mine")
    assert list((tmp_path / "caches").iterdir()) == []


@only_root
def test_each_user_has_a_folder_of_their_own(make: Callable[..., OpcacheFolder], everybodys: Path) -> None:
    roots = make(WPBG_CACHE_DIR=everybodys).path
    with acting_as(NOBODY):
        theirs = make(WPBG_CACHE_DIR=everybodys).path
        assert make(WPBG_CACHE_DIR=everybodys / "wpbg-0").path is None
    assert roots is not None
    assert theirs is not None
    assert roots != theirs
    assert theirs.stat().st_uid == NOBODY


@only_root
def test_somebody_elses_home_is_not_used(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    """As under a `sudo` that keeps HOME: who owns the home could replace what root runs."""
    os.chown(tmp_path / "home", NOBODY, NOBODY)
    assert (tmp_path / "tmp") in (make().path or Path()).parents


# --- when there can be none ----------------------------------------------------------------------------------


def test_without_a_folder_work_goes_on_and_one_line_says_so(
    make: Callable[..., OpcacheFolder], tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "file").touch()
    for env in (
        {"WPBG_CACHE_DIR": "/proc/wpbg"},  # As read-only as a file system can be, for root too.
        {"WPBG_CACHE_DIR": tmp_path / "file"},
        {"WPBG_CACHE_DIR": tmp_path / "with:colon"},
        {"WPBG_CACHE_DIR": tmp_path / "with'quote"},
        {"WPBG_CACHE_DIR": tmp_path / "with\nbreak"},
        {"XDG_CACHE_HOME": tmp_path / "file", "TMPDIR": tmp_path / "file"},
    ):
        told.clear()
        cache = make(**env)
        assert cache.path is None
        assert cache.environment({"A": "b"}) == {"A": "b"}
        assert cache.drop_stale() == 0
        cache.boot_failed(-11)
        assert len(told) == 1
        assert "boot without OPcache's file cache" in told[0]
        assert "WPBG_CACHE_DIR" in told[0]


def test_a_home_that_cannot_be_written_leaves_the_temporary_folder(
    make: Callable[..., OpcacheFolder], tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "home/.cache").touch()
    assert (tmp_path / "tmp") in (make().path or Path()).parents
    assert told == []


def test_what_goes_wrong_later_is_said_once(
    make: Callable[..., OpcacheFolder], told: list[str], tmp_path: Path
) -> None:
    cache = make()
    path = cache.path
    assert path is not None
    path.chmod(0o777)
    for _ in range(3):
        assert cache.environment({}) == {}
        assert cache.drop_stale() == 0
    assert len(told) == 1
    assert f"{path} can be written by other users" in told[0]
    path.chmod(0o700)
    assert cache.environment({}) != {}
    path.chmod(0o777)
    assert cache.environment({}) == {}
    assert len(told) == 2


# --- what PHP is told ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, ":INI"), ("", "INI"), (":", "::INI"), ("/etc/more", "/etc/more:INI"), (":/a:/b", ":/a:/b:INI")],
)
def test_the_ini_folder_comes_after_those_that_are_there(
    make: Callable[..., OpcacheFolder], before: str | None, after: str
) -> None:
    cache = make()
    base = {"PATH": "/bin"} | ({} if before is None else {"PHP_INI_SCAN_DIR": before})
    env = cache.environment(base)
    assert env == {"PATH": "/bin", "PHP_INI_SCAN_DIR": after.replace("INI", f"{cache.path}/ini")}
    assert cache.environment(env) == env
    for_forks = cache.environment(env, shared=True)
    assert for_forks["PHP_INI_SCAN_DIR"] == f"{env['PHP_INI_SCAN_DIR']}:{cache.path}/shared"
    assert cache.environment(for_forks, shared=True) == for_forks
    assert cache.environment(for_forks) == env


def test_what_is_lost_or_changed_is_put_back(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    cache = make()
    path = cache.path
    assert path is not None
    ini = path / "ini/wpbg-opcache.ini"
    written = ini.read_text()
    assert f"opcache.file_cache='{path}/entries'" in written
    ini.write_text("opcache.validate_timestamps=0\n")
    cache.environment({})
    assert ini.read_text() == written
    (tmp_path / "home/.cache").rename(tmp_path / "gone")
    cache.environment({})
    assert ini.read_text() == written
    assert (path / "entries").is_dir()
    assert [file.name for file in path.iterdir() if file.name.startswith(".")] == []


def test_wp_cli_starts_php_with_it(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    cache = make()
    cached = cache.used_by(WpCli(("wp",), tmp_path, "http://site.test", True, {"PHP_INI_SCAN_DIR": "/more"}))
    assert cached.argv("eval", "1") == ["wp", "eval", "1", "--url=http://site.test", "--allow-root"]
    assert cached.environment()["PHP_INI_SCAN_DIR"] == f"/more:{cache.path}/ini"
    assert cache.used_by(cached, shared=True).environment()["PHP_INI_SCAN_DIR"].endswith(f":{cache.path}/shared")


def test_after_a_crash_no_memory_is_shared(make: Callable[..., OpcacheFolder], told: list[str]) -> None:
    cache = make()
    assert cache.path is not None
    entries = cache.path / "entries"
    (entries / SYSTEM).mkdir()
    assert cache.environment({}, shared=True)["PHP_INI_SCAN_DIR"].endswith("/shared")
    cache.boot_failed(1)
    assert cache.environment({}, shared=True)["PHP_INI_SCAN_DIR"].endswith("/shared")
    cache.boot_failed(254)
    assert cache.environment({}, shared=True)["PHP_INI_SCAN_DIR"] == f":{cache.path}/ini"
    assert (entries / SYSTEM).is_dir()
    assert "128 MB" in told[0]
    cache.boot_failed(254)
    assert list(entries.iterdir()) == []
    cache.boot_failed(254)
    assert cache.environment({}, shared=True) == {}
    assert len(told) == 2


def test_after_a_crash_the_entries_go_and_after_the_second_the_cache(
    make: Callable[..., OpcacheFolder], told: list[str]
) -> None:
    cache = make()
    assert cache.path is not None
    entries = cache.path / "entries"
    (entries / SYSTEM).mkdir()
    for code in (0, 1, 255, -9, -15, 137):
        cache.boot_failed(code)
    assert (entries / SYSTEM).is_dir()
    cache.boot_failed(-11)
    assert list(entries.iterdir()) == []
    assert cache.environment({})
    assert told == []
    cache.boot_failed(139)
    assert cache.environment({}) == {}
    assert len(told) == 1
    assert "exit code 139" in told[0]


def test_folders_of_sites_that_nobody_works_for_go_away(make: Callable[..., OpcacheFolder], tmp_path: Path) -> None:
    def used(site: Path, days: float) -> Path:
        path = make(site=site).path
        assert path is not None
        os.utime(path / "site", (time.time() - days * DAY,) * 2)
        return path

    there = tmp_path / "there"
    there.mkdir()
    stay = [used(there, 29), used(tmp_path / "gone", 0.9)]
    (tmp_path / "there2").mkdir()
    go = [used(tmp_path / "there2", 31), used(tmp_path / "gone2", 1.1)]
    foreign = stay[0].parent / "something-else"
    foreign.mkdir()
    make()
    assert [path.is_dir() for path in (*stay, foreign)] == [True, True, True]
    assert [path.exists() for path in go] == [False, False]


# --- which entries PHP must not use --------------------------------------------------------------------------


@dataclass
class Cached:
    """A source, and an entry as PHP would have written it: `after` seconds later than the source was changed."""

    root: Path
    source: Path
    entry: Path

    def write(self, after: float = 10) -> None:
        self.entry.parent.mkdir(parents=True, exist_ok=True)
        self.entry.write_bytes(b"OPCACHE")
        os.utime(self.entry, ns=(0, self.source.stat().st_ctime_ns + round(after * 1e9)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "entries").mkdir()
    return tmp_path / "entries"


def cached(root: Path, source: Path, system: str = SYSTEM, after: float = 10) -> Cached:
    source.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists():
        source.write_text("<?php return 1;")
        os.utime(source, (LONG_AGO, LONG_AGO))
    made = Cached(root, source, root / f"{system}{source}.bin")
    made.write(after)
    return made


@pytest.fixture
def site_code(root: Path, tmp_path: Path) -> Cached:
    return cached(root, tmp_path / "site/wp-content/plugins/shop/shop.php")


def edit_at_the_same_size(file: Path) -> None:
    file.write_text("<?php return 2;")
    os.utime(file, (LONG_AGO, LONG_AGO))


def grow(file: Path) -> None:
    file.write_text("<?php return 2222;")
    os.utime(file, (LONG_AGO, LONG_AGO))


def replace_by_rename(file: Path) -> None:
    edit_at_the_same_size(file.with_suffix(".new"))
    file.with_suffix(".new").rename(file)


def replace_the_folder(file: Path) -> None:
    """By one that was unpacked before and has the same dates: only its files tell."""
    file.parent.rename(file.parent.with_name("old"))
    (file.parent.parent / "new").rename(file.parent)


def edit_with_a_later_date(file: Path) -> None:
    file.write_text("<?php return 2;")


EDITS = [edit_at_the_same_size, grow, replace_by_rename, replace_the_folder, edit_with_a_later_date]


@pytest.mark.parametrize("same_worker", [True, False])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_noticed_whatever_date_it_has(
    site_code: Cached, edit: Callable[[Path], None], same_worker: bool
) -> None:
    edit_at_the_same_size(_mkdir(site_code.source.parent.with_name("new")) / site_code.source.name)
    entries = Entries(site_code.root)
    assert entries.drop_stale() == 0
    assert entries.drop_stale() == 0
    assert site_code.entry.exists()
    edit(site_code.source)
    if not same_worker:
        entries = Entries(site_code.root)
    assert entries.drop_stale() == 1
    assert not site_code.entry.exists()
    assert entries.drop_stale() == 0


def _mkdir(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_what_was_seen_outlives_the_worker(site_code: Cached) -> None:
    assert Entries(site_code.root).drop_stale() == 0
    assert site_code.entry.stat().st_mtime < 1_000_000_000  # The source's checksum: see the module.
    for _ in range(2):
        assert Entries(site_code.root).drop_stale() == 0


@pytest.mark.parametrize(("after", "dropped"), [(-5, 1), (0, 1), (1.9, 1), (2.1, 0)])
def test_an_entry_has_to_be_clearly_younger_than_its_source(site_code: Cached, after: float, dropped: int) -> None:
    site_code.write(after)
    assert Entries(site_code.root).drop_stale() == dropped


def test_a_source_from_the_future_is_not_trusted(site_code: Cached) -> None:
    os.utime(site_code.source, (4_000_000_000, 4_000_000_000))
    assert Entries(site_code.root).drop_stale() == 1


def test_entries_written_since_the_last_look_are_looked_at(site_code: Cached, root: Path, tmp_path: Path) -> None:
    entries = Entries(root)
    assert entries.drop_stale() == 0
    beside = cached(root, site_code.source.with_name("beside.php"), after=0)
    elsewhere = cached(root, tmp_path / "site/wp-admin/x.php", after=0)
    site_code.write(0)  # Compiled again by a PHP that dropped it itself.
    _set_changed(site_code.entry.parent)
    assert entries.drop_stale() == 3
    assert [file.entry.exists() for file in (site_code, beside, elsewhere)] == [False, False, False]


def _set_changed(folder: Path) -> None:
    """A folder whose last change is some time ago, as the next look finds it in an idle worker."""
    changed = folder.stat().st_mtime - 5
    os.utime(folder, (changed, changed))


def test_a_folder_that_changed_just_now_is_read_again(site_code: Cached) -> None:
    """The clock of a file system may stand still for some milliseconds."""
    entries = Entries(site_code.root)
    assert entries.drop_stale() == 0
    kept = site_code.entry.parent.stat()
    beside = cached(site_code.root, site_code.source.with_name("beside.php"), after=0)
    os.utime(site_code.entry.parent, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert entries.drop_stale() == 1
    assert not beside.entry.exists()


def test_a_folder_that_did_not_change_is_not_read_again(site_code: Cached) -> None:
    entries = Entries(site_code.root)
    _set_changed(site_code.entry.parent)
    assert entries.drop_stale() == 0
    kept = site_code.entry.parent.stat()
    unseen = site_code.entry.with_name("unseen.php.bin")
    unseen.touch()
    site_code.source.with_name("unseen.php").touch()
    os.utime(site_code.entry.parent, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert entries.drop_stale() == 0
    assert unseen.exists()
    assert Entries(site_code.root).drop_stale() == 1


def test_sources_that_are_gone(site_code: Cached, root: Path, tmp_path: Path) -> None:
    """They are missed where the WordPress of that PHP is here, and not where it is in a container."""
    settings = cached(root, tmp_path / "site/wp-settings.php")
    other = cached(root, tmp_path / "var/www/wp-content/x.php", OTHER_SYSTEM)
    other_settings = cached(root, tmp_path / "var/www/wp-settings.php", OTHER_SYSTEM)
    phar = cached(root, tmp_path / "wp.phar")
    in_phar = Cached(root, phar.source, root / f"{SYSTEM}phar:{phar.source}/php/boot.php.bin")
    in_phar.write()
    phar.entry.unlink()
    for file in (site_code, other, other_settings, phar):
        file.source.unlink()
    entries = Entries(root)
    assert entries.drop_stale() == 2
    assert [file.entry.exists() for file in (site_code, in_phar)] == [False, False]
    assert [file.entry.exists() for file in (settings, other, other_settings)] == [True, True, True]
    settings.source.unlink()
    assert entries.drop_stale() == 0


def test_a_changed_phar_takes_all_of_its_entries_along(site_code: Cached, root: Path, tmp_path: Path) -> None:
    phar = cached(root, tmp_path / "bin/wp.phar")
    phar.entry.unlink()
    inside = [
        Cached(root, phar.source, root / f"{SYSTEM}phar:{phar.source}/{name}.php.bin") for name in ("a", "php/b", "p/c")
    ]
    for file in inside:
        file.write()
    entries = Entries(root)
    assert entries.drop_stale() == 0
    edit_at_the_same_size(phar.source)
    assert entries.drop_stale() == 3
    assert [file.entry.exists() for file in inside] == [False] * 3
    assert site_code.entry.exists()


def test_symlinked_sources_are_judged_by_what_they_lead_to(root: Path, tmp_path: Path) -> None:
    real = tmp_path / "dev/real.php"
    _mkdir(real.parent)
    edit_at_the_same_size(real)
    link = tmp_path / "site/link.php"
    _mkdir(link.parent).joinpath("link.php").symlink_to(real)
    file = cached(root, link)
    entries = Entries(root)
    assert entries.drop_stale() == 0
    edit_at_the_same_size(real)
    assert entries.drop_stale() == 1
    assert not file.entry.exists()


def test_a_php_that_is_gone_takes_its_entries_along(site_code: Cached, root: Path, tmp_path: Path) -> None:
    used = cached(root, tmp_path / "a.php", OTHER_SYSTEM)
    for folder in [site_code.entry.parent, *site_code.entry.parents]:
        if root in folder.parents:
            os.utime(folder, (time.time() - 31 * DAY,) * 2)
    for folder in [used.entry.parent, *used.entry.parents]:
        if root in folder.parents:
            os.utime(folder, (time.time() - 29 * DAY,) * 2)
    Entries(root).drop_stale()
    assert [folder.name for folder in root.iterdir()] == [OTHER_SYSTEM]
    assert used.entry.exists()


def test_empty_folders_go_away(site_code: Cached, root: Path, tmp_path: Path) -> None:
    settings = cached(root, tmp_path / "site/wp-settings.php")
    site_code.source.unlink()
    entries = Entries(root)
    assert entries.drop_stale() == 1
    for _ in range(5):
        for folder, _, _ in os.walk(root):
            _set_changed(Path(folder))
        entries.drop_stale()
    assert sorted(path.name for path in settings.entry.parent.iterdir()) == ["wp-settings.php.bin"]


def test_what_php_did_not_write_is_left_alone(site_code: Cached, root: Path) -> None:
    strange = [root / "notes/a.php.bin", site_code.entry.with_suffix(".txt"), root / "b.php.bin"]
    for file in strange:
        _mkdir(file.parent)
        file.touch()
    assert Entries(root).drop_stale() == 0
    assert [file.exists() for file in strange] == [True] * 3


def test_names_in_any_encoding(root: Path, tmp_path: Path) -> None:
    file = cached(root, tmp_path / os.fsdecode(b"caf\xe9 \xc3\xbc/\x01.php"))
    entries = Entries(root)
    assert entries.drop_stale() == 0
    edit_at_the_same_size(file.source)
    assert entries.drop_stale() == 1


def test_many_workers_at_once(root: Path, tmp_path: Path) -> None:
    files = [cached(root, tmp_path / f"site/{number % 7}/{number}.php") for number in range(210)]
    workers = [Entries(root) for _ in range(8)]
    assert workers[0].drop_stale() == 0
    for file in files[::2]:
        edit_at_the_same_size(file.source)
    dropped: list[int] = []
    together = threading.Barrier(len(workers))

    def look(entries: Entries) -> None:
        together.wait()
        dropped.append(entries.drop_stale())

    threads = [threading.Thread(target=look, args=(entries,)) for entries in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(dropped) == len(workers)
    assert sum(dropped) == len(files[::2])
    assert [file.entry.exists() for file in files] == [False, True] * (len(files) // 2)


def test_slots_that_wait_for_a_look_share_the_next_one(
    make: Callable[..., OpcacheFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one under way when they asked is not enough: it may have passed a file before it was edited."""
    looks: list[Entries] = []
    asked: list[int] = []
    go_on = threading.Event()

    class Slow(Entries):
        def drop_stale(self) -> int:
            looks.append(self)
            assert go_on.wait(30)
            return super().drop_stale()

    def monotonic(real: Callable[[], float] = time.monotonic) -> float:
        asked.append(threading.get_ident())
        return real()

    monkeypatch.setattr("wpbg.opcache.Entries", Slow)
    cache = make()
    monkeypatch.setattr("wpbg.opcache.time.monotonic", monotonic)
    threads = [threading.Thread(target=cache.drop_stale) for _ in range(4)]
    threads[0].start()
    wait_for(lambda: looks)
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: {thread.ident for thread in threads} <= set(asked))
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(looks) == 2


# --- private folders -----------------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/inside").touch()
    with pytest.raises(OSError, match="directory"):
        private.write(tmp_path / "taken", b"text")
    private.write(tmp_path / "free", b"text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["free", "taken"]
    assert mode(tmp_path / "free") == 0o600


def test_links_that_lead_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        private.make(tmp_path / "a", "mine")
