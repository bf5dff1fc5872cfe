"""The documentation names only what exists."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from pipelines.cli import COMMANDS

REPO = Path(__file__).resolve().parent.parent
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "infra").rglob("*.md")])
IDS = [str(page.relative_to(REPO)) for page in PAGES]


def _fenced(text: str) -> str:
    return "\n".join(re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))


def _commands(text: str) -> list[str]:
    """Every command line in code: fenced lines that start with it, and inline code."""
    joined = _fenced(text).replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line for line in (*lines, *inline) if re.match(r"(\.venv/bin/)?meterbeam\s+\w|make\s+\w", line)]


def _flags(name: str, words: list[str]) -> set[str]:
    """The options that ``meterbeam name …`` takes, as the command line itself knows them."""
    command = typer.main.get_command(_typer(name))
    unnamed = getattr(command, "default", None)
    given = next((word for word in words if word in getattr(command, "commands", {})), unnamed)
    if given is not None:
        command = command.commands[given]  # type: ignore[attr-defined]
    assert not hasattr(command, "commands"), f"meterbeam {name} {' '.join(words)} is no subcommand"
    flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    return flags | {"--help", "--plugin", "--json", "--settings"}


def _typer(name: str) -> typer.Typer:
    module = importlib.import_module(f"pipelines.commands.{name}")
    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command()(getattr(module, name))
    return app


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    """Commands, subcommands, options and make targets are real."""
    targets = set(
        re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    for line in _commands(page.read_text(encoding="utf-8")):
        words = shlex.split(re.split(r"\s[|>#;&]", line)[0].replace("…", ""))
        if words[0] == "make":
            assert words[1] in targets or "=" in words[1], line
            continue
        name, rest = words[1], words[2:]
        assert name in COMMANDS, line
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert used <= _flags(name, rest), line


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links and pictures are files; an anchor is a heading of its page."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        link = target[0] or target[1]
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{link} in {page.name}"
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
            }
            assert anchor in slugs, f"{link} in {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_path_in_code_style_exists(page: Path) -> None:
    """A file of the four packages that is named in `code` is there."""
    if page.name == "CHANGELOG.md":
        pytest.skip("a changelog may name what is gone")
    named = re.findall(
        r"`((?:schemas|models|transforms|pipelines|tests|infra|docs)/[\w./-]+\.\w+)`",
        page.read_text(encoding="utf-8"),
    )
    assert [path for path in named if not (REPO / path).exists()] == []


def test_the_readme_starts_with_two_commands() -> None:
    """What a newcomer needs stands on the first screen."""
    first_screen = "\n".join((REPO / "README.md").read_text(encoding="utf-8").splitlines()[:30])
    assert "make demo" in first_screen
    assert "make test" in first_screen
    assert "docs/report.png" in first_screen
