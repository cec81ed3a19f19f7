# SPDX-License-Identifier: MIT
"""Markdown pages as people read them in an editor: narrow lines, and a map that is right."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from run.base.config import CHECKOUT

WIDTH = 100
_FENCE = re.compile(r"\s*(```|~~~)")
_WIDE = re.compile(r"\s*\||#| {4}|\t|\s*!\[")
"""Tables, headings, code, and pictures with what they show."""


def pages() -> list[str]:
    """Those of the checkout; where it is no git tree, all that lie at the usual places."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    found = done.stdout.split() or [
        str(path.relative_to(CHECKOUT)) for path in (*CHECKOUT.glob("*.md"), *_docs())
    ]
    return sorted(name for name in found if (CHECKOUT / name).is_file())


def _docs() -> Iterator[Path]:
    return (CHECKOUT / "docs").rglob("*.md")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that can be broken."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and not _WIDE.match(line) and " " in line.strip():
            yield number, line


@pytest.mark.parametrize("name", pages())
def test_lines_are_narrow(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    wide = [f"{name}:{number}" for number, line in prose(text) if len(line) > WIDTH]
    assert not wide, f"break these lines at {WIDTH} columns: {', '.join(wide)}"


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/commands.md"} <= set(pages())


def test_what_contributing_names_is_there() -> None:
    text = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tops = "|".join(("ntbdbg", "run", "tests", "docs", "qemu_src", "yocto_files"))
    named = set(re.findall(rf"`((?:{tops})/[A-Za-z0-9_./-]*)`", text))
    plain = {name for name in named if "NAME" not in name and "NNN" not in name}
    assert len(plain) > 10
    assert not [name for name in sorted(plain) if not (CHECKOUT / name).exists()]
