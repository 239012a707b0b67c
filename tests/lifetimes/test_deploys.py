"""The site's code is changed under a running worker: no restart by hand, no job lost, none charged for it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lifetimes.at_work import PERSISTENT, AtWork, at_work, jobs, lines, put
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for

WITHIN = 2.0
"""Seconds after a change in which a job may still begin with the code of before."""


def plugin(site: Site, name: str, body: str) -> Path:
    folder = site.path / "wp-content/plugins" / name
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.php"
    file.write_text(f"<?php\n/* Plugin Name: {name} */\n{body}\n")
    return file


def theme(site: Site, name: str, version: str) -> None:
    folder = site.path / "wp-content/themes" / name
    folder.mkdir()
    (folder / "style.css").write_text(f"/* Theme Name: {name} */")
    (folder / "index.php").write_text("<?php\n")
    (folder / "functions.php").write_text(f"<?php function theme_version() {{ return '{version}'; }}\n")


def returns(function: str, version: str) -> str:
    return f"function {function}() {{ return '{version}'; }}"


@pytest.fixture(params=PERSISTENT)
def prepared(request: pytest.FixtureRequest, sites: Sites) -> Iterator[tuple[Site, str]]:
    """A site with everything that is going to be changed, and a lifetime."""
    site = sites.clone("maria71")
    jobs(site, "sees")
    plugin(site, "edited", returns("edited_version", "1"))
    plugin(site, "other", returns("other_version", "1"))
    for version in ("1", "2"):
        release = site.folder / f"release-{version}"
        release.mkdir()
        (release / "linked.php").write_text(f"<?php\n/* Plugin Name: linked */\n{returns('linked_version', version)}\n")
    (site.path / "wp-content/plugins/linked").symlink_to(site.folder / "release-1")
    theme(site, "plain", "1")
    site.wp("plugin", "activate", "edited", "linked")
    yield site, str(request.param)
    sites.close(site)


class Stream:
    """Jobs one after the other that write down what they see of the site's code; there is always one to run."""

    def __init__(self, work: AtWork) -> None:
        self.work, self.trace = work, work.site.folder / "trace"
        self.ids: list[str] = []
        self.changes: list[tuple[str, float, str, Any]] = []
        self.until(lambda: len(self.seen()) > 5, "jobs run")

    def seen(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in lines(self.trace)]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Keep jobs coming until something is so."""

        def look() -> bool:
            if len(self.ids) - len(self.seen()) < 40:
                numbers = range(len(self.ids), len(self.ids) + 60)
                self.ids += put(self.work.site, "sees", ({"n": n, "trace": str(self.trace)} for n in numbers))
            return condition()

        wait_for(look, 30, what)

    def change(self, name: str, make: Callable[[], object], key: str, value: Any) -> None:
        """Change something and wait for a job that sees it."""
        assert self.seen()[-1][key] != value
        make()
        self.changes.append((name, time.time(), key, value))
        self.until(lambda: bool(self.seen()[-1][key] == value), f"a job sees: {name}")

    def finish(self) -> list[dict[str, Any]]:
        """Let the rest run through; everything that was seen, in order."""
        self.trace.with_suffix(".fast").touch()
        self.work.end_of(self.ids[-1])
        return self.seen()


def in_place(file: Path, old: str, new: str) -> None:
    """Other bytes, the same size, the same inode, the same time."""
    before = file.stat()
    with file.open("r+") as opened:
        text = opened.read()
        assert old in text
        opened.seek(0)
        opened.write(text.replace(old, new))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino)


def relink(link: Path, target: Path) -> None:
    """As tools that deploy do it: there is never no link."""
    new = link.with_name("new-link")
    new.symlink_to(target)
    new.replace(link)


def test_every_change_is_picked_up(prepared: tuple[Site, str]) -> None:
    site, lifetime = prepared
    content = site.path / "wp-content"
    edited = content / "plugins/edited/edited.php"
    with at_work(site, lifetime) as work:
        stream = Stream(work)
        stream.change("a plugin edited in place", lambda: in_place(edited, "'1'", "'2'"), "plugin", "2")
        stream.change("edited again", lambda: in_place(edited, "'2'", "'3'"), "plugin", "3")
        stream.change(
            "a plugin replaced",
            lambda: plugin(site, "edited", returns("edited_version", "4 longer")),
            "plugin",
            "4 longer",
        )
        stream.change("a new mu-plugin", lambda: site.mu_plugin("new", returns("new_version", "1")), "new", "1")
        stream.change(
            "a plugin whose folder is a link to another release",
            lambda: relink(content / "plugins/linked", site.folder / "release-2"),
            "linked",
            "2",
        )
        stream.change("a plugin activated", lambda: site.wp("plugin", "activate", "other"), "other", True)
        stream.change("a plugin deactivated", lambda: site.wp("plugin", "deactivate", "other"), "other", False)
        stream.change("another theme", lambda: site.wp("theme", "activate", "plain"), "theme", "plain 1")
        stream.change("wp-config.php", lambda: site.configure(CHANGED_LATER="yes"), "config", "yes")
        stream.change("a mu-plugin removed", (content / "mu-plugins/new.php").unlink, "new", "")
        seen = stream.finish()

    rows = site.query(f"SELECT status, attempts, history FROM {site.jobs}")
    assert {(row["status"], row["attempts"], row["history"]) for row in rows} == {("completed", 1, None)}
    assert sorted(line["n"] for line in seen) == list(range(len(stream.ids))), "each ran once"
    for name, at, key, value in stream.changes:
        until = min((later[1] for later in stream.changes if later[1] > at and later[2] == key), default=float("inf"))
        late = [line for line in seen if at + WITHIN < line["at"] < until and line[key] != value]
        assert not late, (name, late[0])


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_what_changes_while_php_starts_is_not_missed(maria71: Site, lifetime: str) -> None:
    """A process that boots in the middle of a deploy may have loaded some files before they were changed."""
    folder = maria71.path / "wp-content"
    file = plugin(maria71, "edited", returns("edited_version", "1"))
    plugin(maria71, "other", returns("other_version", "1"))
    maria71.wp("plugin", "activate", "edited")
    # Once, while the first process starts: after this file was loaded, it and the plugins change.
    maria71.mu_plugin(
        "z-deploys",
        f"""
        add_action( 'init', function () {{
            if ( defined( 'DOING_BG_WORKER' ) && @rename( '{maria71.folder}/deploy', '{maria71.folder}/deployed' ) ) {{
                $file = '{file}';
                file_put_contents( $file, str_replace( "'1'", "'2'", file_get_contents( $file ) ) );
                file_put_contents( '{folder}/mu-plugins/a-new.php', '<?php function new_version() {{}}' );
                global $wpdb;
                $active = array( 'background-worker/background-worker.php', 'edited/edited.php', 'other/other.php' );
                $active = array( 'option_value' => serialize( $active ) );
                $wpdb->update( $wpdb->options, $active, array( 'option_name' => 'active_plugins' ) );
            }}
        }} );
        function versions() {{
            return array( edited_version(), function_exists( 'new_version' ), function_exists( 'other_version' ) );
        }}
        """,
    )
    (maria71.folder / "deploy").touch()
    with at_work(maria71, lifetime) as work:
        first = work.result("versions")
        assert first == ["1", False, False], "the first process has the old code"
        wait_for(lambda: work.result("versions") == ["2", True, True], 20, "a job that sees the new code")


def test_restart_runs_the_next_job_with_the_newest_code(maria71: Site) -> None:
    """Even when the file was changed in the second in which it was loaded, has the same size and the same time."""
    file = plugin(maria71, "edited", returns("edited_version", "10"))
    maria71.wp("plugin", "activate", "edited")
    lazy = maria71.path / "wp-content/plugins/edited/lazy.php"
    lazy.write_text("<?php return '10';\n")
    maria71.mu_plugin("versions", f"function versions() {{ return array( edited_version(), require '{lazy}' ); }}")
    with at_work(maria71, "restart") as work:
        assert work.result("versions") == ["10", "10"]
        for version in range(11, 16):
            in_place(file, f"'{version - 1}'", f"'{version}'")
            in_place(lazy, f"'{version - 1}'", f"'{version}'")
            assert work.result("versions") == [str(version)] * 2
        copy = file.with_name("copy")
        shutil.copy2(file, copy)
        in_place(copy, "'15'", "'16'")
        copy.replace(file)
        assert work.result("versions") == ["16", "15"]


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_a_site_whose_folder_is_a_link_to_another_release(maria71: Site, lifetime: str) -> None:
    """`current -> releases/2`: no file that was loaded has changed, and yet all have."""
    maria71.mu_plugin("release", returns("release", "1"))
    current = maria71.folder / "current"
    current.symlink_to(maria71.path)
    maria71.configure(WP_PLUGIN_DIR=str(maria71.path / "wp-content/plugins"))
    second = maria71.folder / "second"
    shutil.copytree(maria71.path, second, symlinks=True)
    (second / "wp-content/mu-plugins/release.php").write_text(f"<?php\n{returns('release', '2')}")
    with at_work(maria71, lifetime, path=current) as work:
        assert work.result("release") == "1"
        relink(current, second)
        wait_for(lambda: work.result("release") == "2", 20, "a job that sees the new release")


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_links_below_a_plugin_lead_elsewhere(maria71: Site, lifetime: str) -> None:
    """To other libraries, to another file."""
    plugins = maria71.path / "wp-content/plugins"
    for version in ("1", "2"):
        (maria71.folder / f"vendor-{version}").mkdir()
        (maria71.folder / f"vendor-{version}/lib.php").write_text(f"<?php\n{returns('lib_version', version)}\n")
        single = f"<?php\n/* Plugin Name: single */\n{returns('single_version', version)}\n"
        (maria71.folder / f"single-{version}.php").write_text(single)
    (plugins / "linked").mkdir()
    (plugins / "linked/linked.php").write_text(
        "<?php\n/* Plugin Name: linked */\nrequire __DIR__ . '/vendor/lib.php';\n"
    )
    relink(plugins / "linked/vendor", maria71.folder / "vendor-1")
    relink(plugins / "single.php", maria71.folder / "single-1.php")
    maria71.mu_plugin("versions", "function versions() { return array( lib_version(), single_version() ); }")
    maria71.wp("plugin", "activate", "linked", "single")
    next_second()
    with at_work(maria71, lifetime) as work:
        assert work.result("versions") == ["1", "1"]
        relink(plugins / "linked/vendor", maria71.folder / "vendor-2")
        wait_for(lambda: work.result("versions") == ["2", "1"], 20, "the new libraries")
        relink(plugins / "single.php", maria71.folder / "single-2.php")
        wait_for(lambda: work.result("versions") == ["2", "2"], 20, "the new file")


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_a_file_is_edited_while_the_job_runs_that_has_loaded_it(maria71: Site, lifetime: str, tmp_path: Path) -> None:
    """What is loaded late is old by the time of the next look, although it has not changed since."""
    library = maria71.path / "wp-content/plugins/late.php"
    library.write_text(f"<?php\n{returns('late_version', '1')}\n")
    maria71.mu_plugin(
        "late",
        f"function late() {{ require_once '{library}'; return late_version(); }}\n"
        'function loads( $file ) { late(); touch( "$file.loaded" );'
        ' while ( ! file_exists( "$file.go" ) ) { usleep( 10000 ); } return late(); }',
    )
    next_second()
    with at_work(maria71, lifetime) as work:
        work.wait_until_warm()
        (job,) = put(maria71, "loads", [str(tmp_path / "job")])
        wait_for((tmp_path / "job.loaded").exists, what="the file is loaded")
        library.write_text(f"<?php\n// Edited.\n{returns('late_version', '2')}\n")
        next_second()
        (tmp_path / "job.go").touch()
        assert work.end_of(job)["status"] == "completed"
        wait_for(lambda: work.result("late") == "2", 10, "the edited file")
