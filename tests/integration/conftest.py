"""Fixtures of the tests of the enqueue side."""

from __future__ import annotations

import pytest

from tests.integration.enqueuing import CALLBACKS
from tests.support.site import Site


@pytest.fixture
def enqueuing(shared_site: Site) -> Site:
    """A site with callbacks and an empty table."""
    shared_site.mu_plugin("callbacks", CALLBACKS)
    shared_site.query(f"DELETE FROM {shared_site.jobs}")
    return shared_site
