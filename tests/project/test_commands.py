# SPDX-License-Identifier: MIT
"""Every command of both programs has help, an example in it, and documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ntbdbg.cli.main
import run.cli.main

CHECKOUT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (CHECKOUT / "docs" / name).read_text(encoding="utf-8")


def help_of(group: click.Group, name: str, program: str) -> str:
    result = CliRunner().invoke(group, [name, "--help"], prog_name=program)
    assert result.exit_code == 0, result.output
    return result.output


def commands(table: Mapping[str, tuple[str, str]], group: click.Group) -> dict[str, click.Command]:
    ctx = click.Context(group)
    found = {name: group.get_command(ctx, name) for name in table}
    assert None not in found.values()
    return found  # type: ignore[return-value]


OURS = ntbdbg.cli.main.COMMANDS
THEIRS = run.cli.main.COMMANDS


@pytest.mark.parametrize("name", OURS)
def test_ntbdbg_command_has_help_and_examples(name: str) -> None:
    shown = help_of(ntbdbg.cli.main.cli, name, "ntbdbg")
    assert len(shown.splitlines()[2].strip()) > 10, "the first line of help says what it does"
    assert f"ntbdbg {name}" in shown.split("Examples:")[1]
    assert OURS[name][1].endswith(".")


@pytest.mark.parametrize("name", OURS)
def test_ntbdbg_command_is_documented(name: str) -> None:
    sections = re.split(r"^## ", text("commands.md"), flags=re.MULTILINE)
    section = next((s for s in sections if s.splitlines()[0].strip(" `") == name), None)
    assert section, f"docs/commands.md has no section '## {name}'"
    assert f"    ntbdbg {name}" in section, "the section shows an example"
    assert f"\n## {name}\n" in text("json.md"), f"docs/json.md has no section '## {name}'"


@pytest.mark.parametrize("name", OURS)
def test_every_option_has_help(name: str) -> None:
    command = commands(OURS, ntbdbg.cli.main.cli)[name]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"


@pytest.mark.parametrize("name", OURS)
def test_shared_options_are_everywhere(name: str) -> None:
    command = commands(OURS, ntbdbg.cli.main.cli)[name]
    known = {opt for parameter in command.params for opt in parameter.opts}
    assert {"--json", "--from", "--lab", "--machine", "--segments", "--debug"} <= known


@pytest.mark.parametrize("name", OURS)
def test_examples_parse(name: str) -> None:
    """An example that the command's own parser refuses would be a lie."""
    import shlex

    command = commands(OURS, ntbdbg.cli.main.cli)[name]
    for line, words in command.examples:  # type: ignore[attr-defined]
        assert words
        arguments = shlex.split(re.split(r" [>|] ", line)[0].replace("@blob.bin", "u8:1"))
        assert arguments[0] == "ntbdbg"
        if arguments[1] == name:
            command.make_context(name, arguments[2:], obj=ntbdbg.cli.main.AppContext())


@pytest.mark.parametrize("name", THEIRS)
def test_launcher_command_has_help_and_examples(name: str) -> None:
    shown = help_of(run.cli.main.cli, name, "python3 run")
    assert len(shown.splitlines()[2].strip()) > 10, "the first line of help says what it does"
    assert f"python3 run {name}" in shown[shown.index("\n\n") :], "the help shows an example"


@pytest.mark.parametrize("name", THEIRS)
def test_launcher_command_is_documented(name: str) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (CHECKOUT / "docs").glob("*.md")]
    pages += [p.read_text(encoding="utf-8") for p in CHECKOUT.glob("README.md")]
    assert any(f"python3 run {name}" in page for page in pages)


def test_names_and_codes_of_the_table_are_those_of_the_program() -> None:
    from ntbdbg.cli.status import ExitStatus

    section = text("commands.md").split("## Exit codes")[1].split("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == set(
        ExitStatus
    )
