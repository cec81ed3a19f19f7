# SPDX-License-Identifier: MIT
"""QEMU's trace events, switched while guests run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.lab.manifest import GuestRecord
from run.base.errors import RunError, UsageError
from run.lab.tracing import switch
from tests.support.fakelab import FakeLab
from tests.support.fakeqmp import FakeQmp

EVENTS = {"idt_ntb_irq": "disabled", "idt_ntb_db_set": "enabled", "idt_ntb_no": "unavailable"}


class Tracing(FakeQmp):
    """A QEMU with some trace events."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[dict[str, Any]] = []

    def _execute(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not command.startswith("trace-event") or command in self.refuse:
            return super()._execute(command, arguments)
        self.asked.append(arguments)
        if command == "trace-event-set-state":
            return {"return": {}}
        begin = arguments["name"].rstrip("*")
        found = [
            {"name": name, "state": state}
            for name, state in EVENTS.items()
            if name.startswith(begin)
        ]
        return {"return": found}


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[tuple[GuestRecord, Tracing]]:
    with FakeLab(tmp_path / "run") as lab:
        record = dataclasses.replace(lab.manifest.guests[0], qmp=str(tmp_path / "trace.qmp"))
        qmp = Tracing(tmp_path / "trace.qmp")
        yield record, qmp
        qmp.close()


@pytest.mark.parametrize("on", [True, False])
def test_all_that_match(guest: tuple[GuestRecord, Tracing], on: bool) -> None:
    record, qmp = guest
    assert switch(record, "idt_ntb_*", on=on) == ["idt_ntb_irq", "idt_ntb_db_set"]
    assert qmp.asked[-1] == {"name": "idt_ntb_*", "enable": on}


@pytest.mark.parametrize("pattern", ["nothing_*", "idt_ntb_no"])
def test_an_event_that_is_not_there(guest: tuple[GuestRecord, Tracing], pattern: str) -> None:
    record, qmp = guest
    with pytest.raises(UsageError, match="qemu1: no trace event is called"):
        switch(record, pattern, on=True)
    assert len(qmp.asked) == 1


def test_a_qemu_that_cannot_trace(guest: tuple[GuestRecord, Tracing]) -> None:
    record, qmp = guest
    qmp.refuse["trace-event-get-state"] = "The command has not been found"
    with pytest.raises(RunError, match="qemu1: QEMU refuses trace-event-get-state"):
        switch(record, "*", on=True)
