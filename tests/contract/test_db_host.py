"""DB_HOST is read as WordPress reads it: asked of WordPress itself."""

from __future__ import annotations

import json

import pytest

from tests.support import php
from tests.support.site import Site
from wpbg.queues.settings import parse_db_host

HOSTS = [
    *("localhost", "", "db.example.com", "127.0.0.1:3307", ":3307", ":/run/my.sock", "localhost:/run/my.sock"),
    *("127.0.0.1:3307:/run/my.sock", "db:0", "db:port", "db/x", "::1", "[::1]", "[::1]:3307", "[::1]:/run/my.sock"),
    *("[2001:db8::7]:3307", "2001:db8::7", "::ffff:10.0.0.1", "[fe80::1%eth0]:3307", "[::1]:3307:/run/my.sock"),
]


@pytest.mark.parametrize("version", ["maria71", "maria61"])
def test_the_same_as_wordpress(version: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(version)
    parse = "array( $GLOBALS['wpdb'], 'parse_db_host' )"
    said = site.eval_php(f"echo json_encode( array_map( {parse}, {php.literal(HOSTS)} ) );")
    for host, theirs in zip(HOSTS, json.loads(said), strict=True):
        ours = parse_db_host(host)
        assert list(ours) == (theirs[:3] if theirs else [host, None, None]), host
