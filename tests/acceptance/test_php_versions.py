"""The oldest and the newest PHP that the plugin is for; `script/php-versions` tries those in between as well."""

from __future__ import annotations

import re

import pytest

from tests.support.need import ROOT
from tests.support.php_versions import PROGRAM, VERSIONS, try_version
from tests.support.sites import Sites


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_the_plugin_works_under(version: str, sites: Sites) -> None:
    if not PROGRAM.exists():  # 470 MB, so a CI machine does without: it has a PHP of its own for everything else.
        pytest.skip("the PHPs are not in .parts/php-wasm: script/php-versions fetches them")
    well, said = try_version(version, sites)
    assert well, said


def test_the_oldest_is_the_one_that_the_plugin_asks_for() -> None:
    main = (ROOT / "php-plugin/background-worker.php").read_text()
    asked = re.search(r"Requires PHP: +(\S+)", main)
    assert asked
    assert asked[1] == VERSIONS[0]
