"""The packages as people get them: a wheel in an empty environment, a zip in a WordPress that has never seen it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.need import ROOT
from tests.support.site import Site
from tests.support.sites import Sites


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What script/build makes."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([ROOT / "script/build", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2
    return folder


@pytest.fixture(scope="module")
def wheel(packages: Path) -> Path:
    (found,) = packages.glob("wpbg-*.whl")
    return found


@pytest.fixture(scope="module")
def plugin_zip(packages: Path) -> Path:
    (found,) = packages.glob("background-worker-*.zip")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment that holds the wheel, and what it needs, alone."""
    folder = tmp_path_factory.mktemp("opt") / "wpbg"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = subprocess.run([folder / "bin/pip", "install", "--quiet", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture
def bare(sites: Sites) -> Iterator[Site]:
    """A WordPress without the plugin."""
    site = sites.clone("sqlite71")
    site.wp("plugin", "deactivate", "background-worker")
    site.wp("plugin", "uninstall", "background-worker")
    assert not (site.path / "wp-content/plugins/background-worker").exists()
    site.mu_plugin("greet", 'function greet( $name ) { return "Hello $name"; }')
    yield site
    sites.close(site)


def run(site: Site, *argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in argv], env=site.env, cwd=cwd or site.path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_wheel_carries_everything(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for source, to in (("php-plugin", "wpbg/plugin"), ("supervisor", "wpbg/supervisor"), ("wpbg", "wpbg")):
        for file in (ROOT / source).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"{to}/{file.relative_to(ROOT / source)}" in inside
    assert not [name for name in inside if name.startswith(("tests", "docs")) or "__pycache__" in name]


def test_a_job_is_done_by_the_wheel_alone(installed: Path, bare: Site) -> None:
    wpbg = installed / "wpbg"
    assert run(bare, wpbg, "--version").startswith("wpbg 0.")
    run(bare, wpbg, "install")
    job = bare.enqueue("greet", "Ada")
    run(bare, wpbg, "listen", "--stop-when-empty")
    told = json.loads(run(bare, wpbg, "jobs", "get", job, "--format", "json"))
    assert (told["status"], told["result"]) == ("completed", "Hello Ada")
    assert str(installed) in run(bare, wpbg, "service", "systemd"), "the unit names this program"
    run(bare, wpbg, "doctor", "--help")


def other_python(version: str) -> Path | None:
    """One on the PATH, or of pyenv."""
    found = shutil.which(f"python{version}")
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for program in ([Path(found)] if found else []) + kept:
        asked = subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True)
        if asked.returncode == 0:
            return program
    return None


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_a_job_is_done_under_each_python(version: str, wheel: Path, bare: Site, tmp_path: Path) -> None:
    """Those that this machine has."""
    python = other_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    done = subprocess.run([tmp_path / "venv/bin/pip", "install", "--quiet", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wpbg = tmp_path / "venv/bin/wpbg"
    run(bare, wpbg, "install")
    jobs = [bare.enqueue("greet", "Ada"), bare.enqueue("greet", "Grace")]
    run(bare, wpbg, "listen", "--mode", "fork", "--concurrency", "2", "--stop-when-empty", "--metrics", "127.0.0.1:0")
    assert [bare.job(job)["status"] for job in jobs] == ["completed", "completed"]
    assert f"Python {version}." in subprocess.run([wpbg, "doctor"], env=bare.env, cwd=bare.path, capture_output=True,
                                                  text=True).stdout  # fmt: skip


def test_the_zip_is_installed_by_wordpress(installed: Path, bare: Site, plugin_zip: Path) -> None:
    run(bare, bare.wp_bin, "plugin", "install", plugin_zip, "--activate")
    job = bare.enqueue("greet", "Grace")
    run(bare, installed / "wpbg", "listen", "--stop-when-empty")
    assert json.loads(bare.job(job)["result"]) == "Hello Grace"
    mode = (bare.path / "wp-content/plugins/background-worker/background-worker.php").stat().st_mode
    assert mode & 0o444 == 0o444, "the web server may read it"


def test_the_zip_is_the_same_whenever_it_is_made(plugin_zip: Path, tmp_path: Path) -> None:
    subprocess.run([ROOT / "script/build", tmp_path], check=True, capture_output=True)
    (again,) = tmp_path.glob("*.zip")
    assert again.read_bytes() == plugin_zip.read_bytes()
    assert {name.split("/")[0] for name in zipfile.ZipFile(again).namelist()} == {"background-worker"}


def test_types_are_there_for_those_who_import_it(installed: Path) -> None:
    """mypy, of this checkout, reads the installed package's types."""
    code = "from wpbg.job import Job\nJob(1, 'q', b'')\n"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", installed / "python", "-c", code],
        capture_output=True,
        text=True,
        cwd=installed,
    )
    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed")
    assert 'incompatible type "int"; expected "str"' in done.stdout


def test_the_command_is_a_package_of_wp_cli(bare: Site, tmp_path: Path) -> None:
    """`wp package install FOLDER`. Without the plugin in the site the command says what is missing; with it, nothing
    changes."""
    shutil.copytree(ROOT / "php-plugin", tmp_path / "php-plugin")
    packages = bare.folder / "home/packages"
    packages.mkdir()
    # The package needs no other, so nothing has to be asked of the internet: without this WP-CLI's index would be.
    (packages / "composer.json").write_text(
        json.dumps({"name": "wp-cli/wp-cli", "minimum-stability": "dev", "repositories": {"packagist": False}})
    )
    bare.env["WP_CLI_PACKAGES_DIR"] = str(packages)
    assert "Success: Package installed." in bare.wp("package", "install", str(tmp_path / "php-plugin")).stdout
    assert "Runs background jobs" in bare.wp("help", "background-worker").stdout
    done = bare.wp("background-worker", check=False)
    assert done.returncode == 3
    assert "run `wpbg install`" in done.stderr
    bare.wpbg("install", check=True)
    job = bare.enqueue("greet", "Joan")
    bare.wp("background-worker", "run")
    assert bare.job(job)["status"] == "completed"


def test_composer_knows_what_the_plugin_is() -> None:
    about = json.loads((ROOT / "php-plugin/composer.json").read_text())
    assert about["type"] == "wordpress-plugin"
    assert about["extra"]["commands"] == ["background-worker"]
    composer = shutil.which("composer")
    if composer is None:
        pytest.skip("composer is not installed")
    done = subprocess.run(
        [composer, "validate", "--strict", "--no-interaction", "composer.json"],
        cwd=ROOT / "php-plugin",
        env={**os.environ, "COMPOSER_ALLOW_SUPERUSER": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_agree() -> None:
    from wpbg import __version__
    from wpbg.plugin import bundled_version

    assert bundled_version() == __version__
    main = (ROOT / "php-plugin/background-worker.php").read_text()
    assert f"define( 'BACKGROUND_WORKER_VERSION', '{__version__}' );" in main
    assert f"Stable tag: {__version__}\n" in (ROOT / "php-plugin/readme.txt").read_text()
