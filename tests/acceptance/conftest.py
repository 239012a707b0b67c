"""A broker of each kind, which a test may stop, start and freeze."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.brokers import BACKENDS, Broker


@pytest.fixture(params=BACKENDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = Broker.of(request.param, tmp_path)
    yield made
    made.server.stop()
