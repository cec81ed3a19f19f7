# SPDX-License-Identifier: MIT
"""Every field that a command's JSON has is documented, in the section of its kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.cli.main import main
from ntbdbg.ntb.kinds import Kind
from tests.support.linkedlab import LinkedLab

PAGE = Path(__file__).parents[3] / "docs/json.md"

#: a command that needs no kernel in the guest belongs here
CALLS = [
    "info",
    "map qemu1",
    "windows",
    "windows qemu2",
    "regs qemu1 --all",
    "decode qemu1 nt_port",
    "decode --list",
    "dump qemu1 0x1000 64",
    "dump qemu1 mw0 16",
    "search qemu1 str:hello",
    "diff qemu1 qemu2",
    "diff --window qemu1:mw0",
    "watch qemu1 0x1000 4 --timeout 0",
    "watch --link --timeout 0",
    "events",
    "patch qemu1 0x1000 u8:1 --dry-run",
    "patch qemu1 0x1000 u8:1",
    "patch --list",
    "undo",
    "freeze",
    "resume",
]

#: fields whose own keys are names from elsewhere: of a register's bits, of counters
_FREE = {"fields", "statistics"}


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedLab]:
    with LinkedLab(tmp_path / "run") as lab:
        lab.monkeypatch(monkeypatch)
        lab.poke("qemu1", 0x3000, b"hello")
        lab.switch.record().record(0, 1000, Kind.DB_SENT, num=2, a=1)
        lab.publish()
        yield lab


def keys(value: Any) -> set[str]:
    """All keys of a document, those of what is in it included."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    inner = [keys(part) for key, part in value.items() if key not in _FREE]
    return set(value).union(*inner)


def documented(kind: str) -> set[str]:
    """The words in backticks of a kind's section."""
    section = re.search(rf"^## {kind}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    assert section, f"docs/json.md has no section '## {kind}'"
    return set(re.findall(r"`(\w+)`", section[1]))


def test_every_field_is_documented(linked: LinkedLab, capsys: pytest.CaptureFixture[str]) -> None:
    for line in CALLS:
        code = main([*line.split(), "--json"])
        text = capsys.readouterr()
        assert code in (0, 1), (line, text.err)
        documents = [json.loads(part) for part in text.out.splitlines()]
        assert documents or "watch" in line, line
        for document in documents:
            assert document["schema"] == 1, line
            unknown = keys(document) - documented(document["kind"]) - {"kind", "schema"}
            assert not unknown, f"ntbdbg {line}: {document['kind']}: {sorted(unknown)}"
