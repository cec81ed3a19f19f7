# SPDX-License-Identifier: MIT
"""Every command line that the documentation shows is one that the programs accept."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from ntbdbg.cli.main import cli as ntbdbg_cli
from run.base.spellings import translate
from run.cli.main import cli as run_cli

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("**/*.md"))]
PROGRAMS = {("ntbdbg",): ntbdbg_cli, ("python3", "run"): run_cli}

#: words that end a command line, besides what a shell has for that
_ENDS = {"·", "→", "…", "..."}


def shell_words(text: str) -> list[str]:
    """The words of the first command in `text`, as a shell reads it."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|;&><")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in _ENDS or not set(word) - set("|;&><"):
            break
        words.append(word)
    return words


def command_lines(page: Path) -> list[str]:
    """Lines of code blocks, indented or fenced, that call one of our programs."""
    lines, fenced = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            text = line.strip().removeprefix("$ ").strip()
            text = re.split(r"\s{2,}", text)[0]
            synopsis = "[OPTIONS]" in text
            if text.startswith(("ntbdbg ", "python3 run ")) and not synopsis:
                lines.append(text)
    return lines


LINES = [(page.name, line) for page in PAGES for line in command_lines(page)]


def test_the_documentation_shows_commands():
    assert len(LINES) > 30


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{p}:{text}" for p, text in LINES])
def test_documented_command_lines_parse(page, line):
    words = shell_words(line)
    for prefix, group in PROGRAMS.items():
        if tuple(words[: len(prefix)]) == prefix:
            words = words[len(prefix) :]
            parse(group, translate(words) if group is run_cli else words)
            return
    pytest.fail(f"{page}: no program of ours: {line}")


def parse(group: click.Command, words: list[str]) -> None:
    """Parse as the program would, without running anything or touching a file."""
    assert isinstance(group, click.Group)
    # With its settings: click keeps the help option that it is first asked for.
    context = click.Context(group, info_name=group.name, **group.context_settings)
    _, rest, _ = group.make_parser(context).parse_args(list(words))
    if not rest:
        return
    command = group.get_command(context, rest[0])
    assert command is not None, f"no command {rest[0]!r}"
    inner = click.Context(command, parent=context, info_name=rest[0], **command.context_settings)
    separated = getattr(command, "separated", list)  # where a command of a guest's begins
    command.make_parser(inner).parse_args(separated(list(rest[1:])))
