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


def main() -> int:
    """A WordPress on SQLite for each version; how many of them failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        sites = Sites(Path(folder) / "sites")
        sites.folder.mkdir()
        try:
            for version in VERSIONS:
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
                well = done.returncode == 0 and f"PHP {version}." in done.stdout
                failed += not well
                print(done.stdout.strip() if well else f"PHP {version} FAILED:\n{done.stdout}{done.stderr}", flush=True)
                sites.close(site)
        finally:
            sites.close_all()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
