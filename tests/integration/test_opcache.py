"""OPcache's file cache with a real PHP and a real WordPress: what PHP takes from it, and what it must not."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.need import missing, require
from tests.support.site import Site
from tests.support.wait import wait_for
from wpbg.opcache import OpcacheFolder

NOBODY = 65534
LONG_AGO = 1_500_000_000


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that every user may pass, as pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def cache(everybodys: Path) -> OpcacheFolder:
    found = OpcacheFolder.for_site(everybodys, {"WPBG_CACHE_DIR": str(everybodys / "cache")}, pytest.fail)
    assert found.path
    return found


class Script:
    """A PHP file that says what is in it, and the entry it has in the cache."""

    def __init__(self, file: Path, cache: OpcacheFolder) -> None:
        self.file, self.cache = file, cache
        self.write("one")

    def write(self, says: str, more: str = "") -> None:
        """Always with the same modification time."""
        self.file.write_text(f"<?php echo '{says}';{more}")
        os.utime(self.file, (LONG_AGO, LONG_AGO))

    def run(self, *flags: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Boot PHP with the entries that are there."""
        argv = [require("php", "php-cli"), *flags, str(self.file)]
        env = self.cache.environment(os.environ) if env is None else env
        return subprocess.run(argv, env=env, capture_output=True, text=True, cwd="/")

    def says(self) -> str:
        """What the next job's PHP prints."""
        self.cache.drop_stale()
        return self.run().stdout

    @property
    def entry(self) -> Path:
        assert self.cache.path
        (found,) = self.cache.path.glob(f"entries/*{self.file}.bin")
        return found

    @property
    def entries(self) -> int:
        assert self.cache.path
        return sum(file.suffix == ".bin" for file in (self.cache.path / "entries").rglob("*"))


@pytest.fixture
def script(everybodys: Path, cache: OpcacheFolder) -> Script:
    made = Script(everybodys / "script.php", cache)
    made.run()
    if made.entries == 0:
        missing("PHP has no OPcache; script/bootstrap installs it (Debian package php-opcache)")
    return made


# --- edits ---------------------------------------------------------------------------------------------------


def test_an_edit_that_php_would_miss_is_seen(script: Script) -> None:
    assert script.run().stdout == "one"
    script.write("two")
    assert script.run().stdout == "one"  # The reason for all this: same second, same size.
    assert script.says() == "two"
    script.write("six")
    assert script.says() == "six"


def test_an_edit_is_seen_long_after_it_was_cached(script: Script) -> None:
    def kept() -> bool:
        script.run()
        script.cache.drop_stale()
        return script.entries == 1

    wait_for(kept)  # Not in the first two seconds after the file changed.
    written = script.entry.stat().st_ctime_ns
    assert [script.says() for _ in range(3)] == ["one"] * 3
    assert script.entry.stat().st_ctime_ns == written
    script.write("two")
    assert script.says() == "two"


def test_php_drops_what_has_another_date_by_itself(script: Script) -> None:
    script.write("two")
    os.utime(script.file, (LONG_AGO - 1, LONG_AGO - 1))
    assert script.run().stdout == "two"


def test_a_plugin_behind_a_symlink(everybodys: Path, cache: OpcacheFolder) -> None:
    """Its code is cached where it really is; a link that leads elsewhere is other code."""
    for name in ("first", "other"):
        (everybodys / name).mkdir()
        Script(everybodys / name / "plugin.php", cache).write(name)
    (everybodys / "plugin").symlink_to("first")
    page = Script(everybodys / "page.php", cache)
    page.write("", "require __DIR__ . '/plugin/plugin.php';")
    assert page.says() == "first"
    Script(everybodys / "first/plugin.php", cache).write("FIRST")
    assert page.says() == "FIRST"
    (everybodys / "plugin").unlink()
    (everybodys / "plugin").symlink_to("other")
    assert page.says() == "other"


def test_a_phar_that_is_replaced_by_one_of_the_same_dates(everybodys: Path, cache: OpcacheFolder) -> None:
    archive = everybodys / "p.phar.tar"

    def build(says: str) -> None:
        code = f"<?php echo '{says}';".encode()
        info = tarfile.TarInfo("a.php")
        info.size, info.mtime = len(code), LONG_AGO
        with tarfile.open(archive, "w") as tar:
            tar.addfile(info, io.BytesIO(code))
        os.utime(archive, (LONG_AGO, LONG_AGO))

    build("one")
    page = Script(everybodys / "page.php", cache)
    page.write("", f"require 'phar://{archive}/a.php';")
    assert page.says() == "one"
    build("two")
    assert page.run().stdout == "one"
    assert page.says() == "two"


# --- faults --------------------------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "short": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "other bytes": lambda data: data[:100] + bytes(byte ^ 0x5A for byte in data[100:]),
    "of another PHP": lambda data: data[:8] + b"0" * 32 + data[40:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_compiled_again(script: Script, damage: str) -> None:
    good = script.entry.read_bytes()
    script.entry.write_bytes(DAMAGES[damage](good))
    done = script.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "one", "")
    assert len(script.entry.read_bytes()) == len(good)
    assert script.run().stdout == "one"


def test_a_php_that_crashes_over_an_entry_starts_the_next_time(script: Script) -> None:
    data = bytearray(script.entry.read_bytes())
    data[40:48] = ((1 << 64) - 100).to_bytes(8, "little")  # The size of its code, which no checksum covers.
    script.entry.write_bytes(data)
    crashed = script.run()
    assert crashed.returncode < 0
    script.cache.boot_failed(crashed.returncode)
    assert script.run().stdout == "one"
    assert script.entries == 1


def test_a_disk_that_is_full_while_php_writes(everybodys: Path, cache: OpcacheFolder) -> None:
    """A limit to the size of a file stands for it: the write is as short."""
    script = Script(everybodys / "script.php", cache)
    script.write("long", "".join(f"function f{number}() {{ return {number}; }}\n" for number in range(200)))

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    argv = [require("php", "php-cli"), str(script.file)]
    for _ in range(2):
        done = subprocess.run(
            argv, env=cache.environment(os.environ), capture_output=True, text=True, preexec_fn=limit, cwd="/"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "long", "")
        assert script.entries == 0
    assert script.run().stdout == "long"
    assert script.entries == 1


def test_a_folder_that_vanishes_or_cannot_be_written_costs_no_job(script: Script) -> None:
    """PHP by itself would end with 254."""
    path = script.cache.path
    assert path
    env = script.cache.environment(os.environ)
    shutil.rmtree(path / "entries")
    assert script.run(env=env).returncode == 254
    assert script.says() == "one"
    assert script.entries == 1
    shutil.rmtree(path.parents[2])
    assert script.run(env=env).stdout == "one"
    assert script.says() == "one"
    assert script.entries == 1


def test_php_without_opcache_or_without_settings(script: Script, tmp_path: Path) -> None:
    shutil.rmtree(script.cache.path / "entries")  # type: ignore[operator]
    done = script.run("-n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one", "")
    (tmp_path / "conf").mkdir()
    asked = subprocess.run(
        [require("php", "php-cli"), "-r", "echo php_ini_scanned_files();"], capture_output=True, text=True, check=True
    )
    for file in asked.stdout.replace("\n", "").split(","):
        if "opcache" not in file:
            shutil.copy(file, tmp_path / "conf")
    env = script.cache.environment({**os.environ, "PHP_INI_SCAN_DIR": str(tmp_path / "conf")})
    script.write("", "echo extension_loaded( 'Zend OPcache' ) ? 'with' : 'without';")
    done = script.run(env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "without", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start PHP as another user")
def test_php_as_another_user_does_without(script: Script) -> None:
    """As through a wrapper with `sudo -u www-data --preserve-env`: it cannot even see the settings."""
    entries = script.entries
    (script.file.parent / "other.php").write_text("<?php echo 'mine: ', posix_geteuid();")
    done = subprocess.run(
        [require("php", "php-cli"), str(script.file.parent / "other.php")],
        env=script.cache.environment(os.environ),
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"mine: {NOBODY}", "")
    assert script.entries == entries


def test_settings_for_the_web_do_not_reach_it(script: Script, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/99-web.ini").write_text(
        "opcache.validate_timestamps=0\nopcache.jit_buffer_size=64M\nopcache.jit=tracing\nopcache.save_comments=0\n"
        "opcache.preload=/nonexistent/preload.php\nopcache.file_update_protection=0\nopcache.log_verbosity_level=4\n"
    )
    env = script.cache.environment({**os.environ, "PHP_INI_SCAN_DIR": f":{tmp_path}/web"})
    script.write("", "/** Said. */ function f() {} echo ( new ReflectionFunction( 'f' ) )->getDocComment();")
    os.utime(script.file, (LONG_AGO + 5, LONG_AGO + 5))
    before = script.entry.read_bytes()
    for _ in range(2):
        done = script.run(env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "/** Said. */", "")
    assert script.entry.read_bytes() != before


# --- WordPress -----------------------------------------------------------------------------------------------


def entries_of(site: Site) -> list[Path]:
    return list((site.folder / "home/.cache/wpbg/opcache").rglob("*.bin"))


def cold(site: Site) -> None:
    """As if wpbg had never worked there."""
    shutil.rmtree(site.folder / "home/.cache", ignore_errors=True)
    assert not entries_of(site)


CALLBACK = "function says() { return array( '%s', ini_get( 'opcache.file_cache_only' ) ); }"


def edit(site: Site, says: str) -> None:
    """The callback's file, each time with the same size and the same date."""
    file = site.mu_plugin("says", CALLBACK % says)
    os.utime(file, (LONG_AGO, LONG_AGO))


def said(site: Site, job: str) -> list[str]:
    row = site.wait_for_status(job, "completed", "failed")
    assert row["status"] == "completed", row["error"]
    result: list[str] = json.loads(row["result"])
    return result


def test_the_next_job_of_a_living_worker_runs_the_edited_file(site: Site) -> None:
    """Every job, with PHP started through a shell script, takes WordPress from the cache and the edit from its file."""
    cold(site)
    edit(site, "one")
    worker = site.start_wpbg("listen")
    assert said(site, site.enqueue("says")) == ["one", "1"]
    assert len(entries_of(site)) > 300
    for word in ("two", "six", "ten"):
        edit(site, word)
        assert said(site, site.enqueue("says")) == [word, "1"]
    worker.stop()
    assert not any("opcache.off" in line for line in worker.stderr_lines)


def test_children_share_the_compiled_code(site: Site) -> None:
    """What one has loaded is there for the next; and a file that is edited is not."""
    cold(site)
    site.mu_plugin(
        "lazy",
        "function lazy( $file ) { $there = opcache_is_script_cached( $file ); return array( $there, include $file ); }",
    )
    file = site.folder / "lazy.php"
    worker = site.start_wpbg("listen", "--mode", "fork")
    for says in ("one", "two"):
        file.write_text(f"<?php return '{says}';")
        os.utime(file, (LONG_AGO, LONG_AGO + (says == "two")))
        seen = [said(site, site.enqueue("lazy", str(file))) for _ in range(3)]
        assert seen == [[False, says], [True, says], [True, says]]
    worker.stop()
    assert not any("opcache.off" in line for line in worker.stderr_lines)


def test_a_link_that_is_switched_leads_to_the_new_code(site: Site) -> None:
    """Deep inside, where no look at the loaded files comes: only children have loaded it."""
    cold(site)
    site.mu_plugin("linked", "function linked( $file ) { require_once $file; return version(); }")
    folder = site.folder / "library"
    for version in ("one", "two"):
        (folder / version).mkdir(parents=True)
        (folder / version / "x.php").write_text(f"<?php function version() {{ return '{version}'; }}")
        os.utime(folder / version / "x.php", (LONG_AGO, LONG_AGO))
    link = folder / "current"
    link.symlink_to("one")
    worker = site.start_wpbg("listen", "--mode", "fork")
    asked = [said(site, site.enqueue("linked", str(link / "x.php"))) for _ in range(2)]
    (folder / "next").symlink_to("two")
    (folder / "next").rename(link)
    asked += [said(site, site.enqueue("linked", str(link / "x.php"))) for _ in range(2)]
    assert asked == ["one", "one", "two", "two"]
    worker.stop()


def test_memory_that_cannot_be_shared_costs_no_attempt(sqlite71: Site) -> None:
    """PHP ends at once where it gets no 128 MB to share: the worker goes on with the files alone, and says so."""
    cold(sqlite71)
    sqlite71.mu_plugin("plain", "function plain() { return 'ran'; }")
    sqlite71.wp_bin.write_text(sqlite71.wp_bin.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nulimit -v 200000\n"))
    worker = sqlite71.start_wpbg("listen", "--mode", "fork")
    job = sqlite71.enqueue("plain")
    row = sqlite71.wait_for_status(job, "completed", "failed")
    assert (row["status"], row["result"], row["attempts"]) == ("completed", '"ran"', 1), worker.log
    worker.stop()
    (said,) = [line for line in worker.stderr_lines if "opcache.off" in line]
    assert "exit code 254" in said
    assert "128 MB" in said
    assert entries_of(sqlite71)


def test_wpbg_run_and_no_opcache(sqlite71: Site) -> None:
    cold(sqlite71)
    edit(sqlite71, "one")
    first = sqlite71.enqueue("says")
    sqlite71.wpbg("run", "--no-opcache", check=True)
    assert said(sqlite71, first)[0] == "one"
    assert entries_of(sqlite71) == []
    second = sqlite71.enqueue("says")
    sqlite71.wpbg("run", check=True)
    assert said(sqlite71, second) == ["one", "1"]
    assert entries_of(sqlite71)
    edit(sqlite71, "two")
    third = sqlite71.enqueue("says")
    sqlite71.wpbg("run", check=True)
    assert said(sqlite71, third) == ["two", "1"]


def test_a_folder_that_others_could_write_stops_the_worker(sqlite71: Site, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    env = {"WPBG_CACHE_DIR": str(tmp_path / "open")}
    edit(sqlite71, "one")
    job = sqlite71.enqueue("says")
    for command in (("listen", "--stop-when-empty"), ("run",)):
        done = sqlite71.wpbg(*command, env=env)
        assert done.returncode == 3
        assert len(done.stderr.splitlines()) == 1
        assert f"{tmp_path}/open can be written by other users (mode 777)" in done.stderr
        assert "--no-opcache" in done.stderr
    assert sqlite71.job(job)["status"] == "queued"
    sqlite71.wpbg("run", "--no-opcache", env=env, check=True)
    assert said(sqlite71, job)[0] == "one"


def test_without_a_folder_the_worker_says_so_and_works(sqlite71: Site) -> None:
    edit(sqlite71, "one")
    job = sqlite71.enqueue("says")
    done = sqlite71.wpbg("listen", "--stop-when-empty", env={"WPBG_CACHE_DIR": "/proc/wpbg"}, check=True)
    assert said(sqlite71, job)[0] == "one"
    lines = [line for line in done.stderr.splitlines() if "opcache.off" in line]
    assert len(lines) == 1
    assert "/proc/wpbg" in lines[0]


def test_commands_of_wp_cli_have_their_help(sqlite71: Site) -> None:
    """WP-CLI reads its commands' options from doc comments, which compiled code may lack."""
    cache = OpcacheFolder.for_site(sqlite71.path, sqlite71.env)
    for _ in range(2):
        env = cache.environment(sqlite71.env)
        assert "--field=<field>" in sqlite71.wp("help", "post", "list", env=env).stdout
