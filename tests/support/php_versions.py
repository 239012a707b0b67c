"""The plugin under each PHP from 7.4 on, as WebAssembly: `script/php-versions`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.need import ROOT, require
from tests.support.sites import Sites

VERSIONS = ("7.4", "8.0", "8.1", "8.2", "8.3", "8.4", "8.5")

PROGRAM = ROOT / ".parts/php-wasm/node_modules/@php-wasm/cli/php-wasm.js"


def try_version(version: str, sites: Sites) -> tuple[bool, str]:
    """The plugin in a WordPress on SQLite under that PHP: whether all went well, and what was said."""
    site = sites.clone("sqlite71")
    done = subprocess.run(
        [require("node", "nodejs"), str(PROGRAM), str(site.phar), f"--path={site.path}", "eval-file",
         str(ROOT / "tests/support/every_php.php")],
        env={**os.environ, **site.env, "PHP": version},
        cwd=site.elsewhere,
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    sites.close(site)
    well = done.returncode == 0 and f"PHP {version}." in done.stdout
    return well, done.stdout.strip() if well else f"PHP {version} FAILED:\n{done.stdout}{done.stderr}"


def main() -> int:
    """How many versions failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        sites = Sites(Path(folder) / "sites")
        sites.folder.mkdir()
        try:
            for version in VERSIONS:
                well, said = try_version(version, sites)
                failed += not well
                print(said, flush=True)
        finally:
            sites.close_all()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
