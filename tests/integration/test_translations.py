"""The template for translators has every string of the code, and none that is gone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.need import ROOT, require, require_part

TEMPLATE = ROOT / "php-plugin/languages/background-worker.pot"


def strings(template: Path) -> list[str]:
    """What translators see of it: not where in the code each string is, which changes with every line."""
    return sorted(line for line in template.read_text().split("\n") if not line.startswith("#:"))


def test_the_template_is_that_of_the_code(tmp_path: Path) -> None:
    require("php", "php-cli")
    require_part("wp-cli.phar")
    made = tmp_path / "made.pot"
    done = subprocess.run([ROOT / "script/translations", made], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert strings(made) == strings(TEMPLATE), "run script/translations and commit what it writes"
