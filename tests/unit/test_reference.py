"""docs/reference.md is what the code says, and what the other pages name is in it."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from tests.support.need import ROOT
from wpbg.cli import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

REFERENCE = ROOT / "docs/reference.md"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sources(folder: str, ending: str) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / folder).rglob(f"*.{ending}")))


def test_the_page_is_what_the_code_says(maker: ModuleType) -> None:
    assert REFERENCE.read_text(encoding="utf-8") == maker.reference(), "run script/reference"


def test_every_public_function_is_told_of() -> None:
    """One without a doc block, too, which the maker would pass over."""
    told = set(re.findall(r"^### `(\w+)\(", REFERENCE.read_text(encoding="utf-8"), re.M))
    declared: set[str] = set()
    for file in (ROOT / "php-plugin").rglob("*.php"):
        source = file.read_text(encoding="utf-8")
        if "\nnamespace " not in source:
            declared |= set(re.findall(r"^\s*function (\w+)\(", source, re.M))
    assert declared == told


def test_every_constant_is_told_of_and_every_one_told_of_is_read(maker: ModuleType) -> None:
    code = sources("php-plugin", "php") + sources("wpbg", "py")
    named = set(re.findall(r"\b(?:ABW|WPBG|WP_GEARS|WP_MINIONS|WP_ASYNC_TASK|BACKGROUND_WORKER)[A-Z_]*\b", code))
    known = set(maker.CONSTANTS) | set(maker.ENVIRONMENT) | maker.NOT_SETTINGS
    assert named - known == set()
    assert {name for name in maker.CONSTANTS if name not in named} == set()


def test_every_variable_is_told_of_and_every_one_told_of_is_read(maker: ModuleType) -> None:
    code = sources("wpbg", "py")
    read = set(re.findall(r'(?:environ\.get\(|environ\[|envvar=)"([A-Z_]+)"', code))
    systems = {"MYSQL_UNIX_PORT", "TERM"}  # Theirs, and read as they mean it.
    assert read - systems - set(maker.ENVIRONMENT) == set()
    php = set(re.findall(r"getenv\( '([A-Z_]+)' \)", sources("php-plugin", "php")))
    assert set(maker.ENVIRONMENT) - read - php == {"WPBG_CACHE_DIR"}, "read through a mapping that is handed in"
    assert 'env.get("WPBG_CACHE_DIR")' in code


def commands_in(page: Path) -> list[str]:
    """What is written as a command of ours: in backticks, and in blocks of code."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`(wpbg [a-z][^`]*)`", text)
    lines = re.findall(r"^(?: {4})?(?:\S*/)?(wpbg [a-z].*?)(?:\s{2,}#.*)?$", "\n".join(blocks(text)), re.M)
    return [" ".join(command.split()) for command in inline + lines]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) + re.findall(r"(?:^ {4}.*\n)+", text, re.M)


def test_commands_are_found_in_the_pages() -> None:
    assert len([command for page in PAGES for command in commands_in(page)]) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_pages_is_one(page: Path) -> None:
    """Each names a command that there is, with options that it has."""
    for text in commands_in(page):
        words = shlex.split(re.split(r"\s+(?:>|\||&&)\s*", text)[0].replace("\\|", "|"))[1:]
        command: click.Command = cli
        context = click.Context(cli, info_name="wpbg")
        while words and isinstance(command, click.Group):
            if words[0] == "COMMAND":
                break
            names = words[0].split("|")
            found = [command.get_command(context, name) for name in names]
            assert all(found), f"{page.name}: {text}"
            command, words = found[0] or command, words[1:]
        known = {name for param in command.params if isinstance(param, click.Option) for name in param.opts} | {
            "--help"
        }
        for word in words:
            option = word.partition("=")[0].rstrip("`,.:;")
            if option.startswith("-") and option != "--":
                assert option in known, f"{page.name}: {text}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in {slug(head) for head in heads}, f"{page.name}: {target}"


def slug(head: str) -> str:
    """As the usual renderers make one of a heading."""
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


def test_every_event_and_metric_that_the_pages_name_is_there() -> None:
    reference = REFERENCE.read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:job|worker|php|lane|queue|log|lease|opcache|metrics)\.[a-z_]+)`", text):
            assert f"`{name}`" in reference or name.endswith((".log", ".php", ".py")), f"{page.name}: {name}"
        for name in re.findall(r"\b(wpbg_[a-z_]+)\b", text):
            assert name.removesuffix("_bucket") in reference, f"{page.name}: {name}"
