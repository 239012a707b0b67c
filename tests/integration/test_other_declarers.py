"""Plugins that declare wp_async_task_add() without looking, as WP Minions and WP Gears do, beside ours."""

from __future__ import annotations

import pytest

from tests.support import php
from tests.support.site import Site

THEIRS = """<?php
/* Plugin Name: WP Minions */
function wp_async_task_add( $hook, $args = array(), $priority = 'normal' ) {
	return 'theirs';
}
"""
ASK = "echo ( new ReflectionFunction( 'wp_async_task_add' ) )->getFileName();"


def put(site: Site, folder: str) -> str:
    """Install their plugin; its name."""
    file = site.path / "wp-content/plugins" / folder / "wp-minions.php"
    file.parent.mkdir()
    file.write_text(THEIRS)
    return f"{folder}/wp-minions.php"


@pytest.mark.parametrize("folder", ["wp-minions", "WP-Minions-master", "renamed"])
def test_it_can_be_activated_after_ours_and_taken_away_again(sqlite71: Site, folder: str) -> None:
    put(sqlite71, folder)
    assert "background-worker" in sqlite71.eval_php(ASK)
    sqlite71.wp("plugin", "activate", folder)
    assert folder in sqlite71.eval_php(ASK)
    sqlite71.wp("plugin", "deactivate", folder)
    assert "background-worker" in sqlite71.eval_php(ASK)


REQUESTS = {
    "a click in the list of plugins": ("/wp-admin/plugins.php?action=activate&plugin=wp-minions%2Fwp-minions.php", {}),
    "the sandbox": ("/wp-admin/plugins.php?action=error_scrape&plugin=wp-minions/wp-minions.php", {}),
    "several at once": (
        "/wp-admin/plugins.php",
        {"action": "activate-selected", "checked": ["a/a.php", "wp-minions/wp-minions.php"]},
    ),
    "the button of the installer": (
        "/wp-admin/admin-ajax.php",
        {"action": "activate-plugin", "plugin": "wp-minions/wp-minions.php"},
    ),
    "REST": ("/wp-json/wp/v2/plugins/wp-minions/wp-minions", {}),
}
OTHERS = {
    "another plugin": ("/wp-admin/plugins.php?action=activate&plugin=akismet%2Fakismet.php", {}),
    "its removal": ("/wp-admin/plugins.php?action=delete-selected&checked[]=wp-minions/wp-minions.php", {}),
    "a text about it": ("/wp-admin/post.php", {"content": "How to activate wp-minions/wp-minions.php"}),
}


def asked(site: Site, uri: str, fields: dict[str, object]) -> bool:
    return (
        site.eval_php(
            f"$_SERVER['REQUEST_URI'] = {php.literal(uri)}; $_POST = {php.literal(fields)};"
            "$words = new ReflectionMethod( 'Background_Worker\\Other_Declarer', 'request' );"
            "$words->setAccessible( true );"
            "echo Background_Worker\\Other_Declarer::is_about_to_come( $words->invoke( null ) ) ? 'yes' : 'no';"
        )
        == "yes"
    )


@pytest.mark.parametrize("what", REQUESTS)
def test_requests_that_activate_it_are_known(sqlite71: Site, what: str) -> None:
    put(sqlite71, "wp-minions")
    assert asked(sqlite71, *REQUESTS[what])  # type: ignore[arg-type]


@pytest.mark.parametrize("what", OTHERS)
def test_other_requests_keep_the_function(sqlite71: Site, what: str) -> None:
    put(sqlite71, "wp-minions")
    assert not asked(sqlite71, *OTHERS[what])  # type: ignore[arg-type]
