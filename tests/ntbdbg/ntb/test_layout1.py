# SPDX-License-Identifier: MIT
"""A capture of version 0.1.0, whose shared page has layout 1, shows what it showed then.

Two QEMUs of that version: the link up, a direct window of qemu1 and two of qemu2's lookup table
translated, doorbells rung, a message taken and one refused, the sensor powered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.ntb import layout1, page
from tests.ntbdbg.conftest import Run

CAPTURE = Path(__file__).with_name("layout1.cap")

VALUES = {
    "PCICMDSTS": 6,
    "PCIELCTLSTS": 0x00420000,
    "NTCTL": 2,
    "NTINTSTS": 3,
    "NTINTMSK": 0xB0,
    "NTSDATA": 0x5DA7A,
    "INDBELLSTS": 0x11,
    "INDBELLMSK": 0xF0,
    "OUTMSG0": 0xBEEF,
    "INMSG2": 0xCAFE,
    "MSGSTS": 0x40001,
    "NTMTBLDATA": 0x20001,
    "LUTLDATA": 0x1300004,
    "SEMSK": 0xFFFFFFDC,
    "SELINKUPMSK": 0xFFFFFFFA,
    "TMPSTS": 0x505050,
}
STATISTICS = {
    "db_tx": 0,
    "db_rx": 1,
    "kicks": 5,
    "msi": 3,
    "msg_tx": 2,
    "msg_fail": 1,
    "win_map": 2,
    "win_unmap": 0,
    "win_trap": 0,
    "quiesce_timeouts": 0,
}


@pytest.fixture
def shown(ntbdbg: Run) -> Any:
    """What a command says of the capture, as JSON."""

    def ask(*words: str) -> Any:
        return json.loads(ntbdbg("--from", str(CAPTURE), *words, "--json").stdout)

    return ask


def test_registers(shown: Any) -> None:
    told = shown("regs", "qemu2", "--all")
    values = {register["name"]: register["value"] for register in told["registers"]}
    assert {name: values[name] for name in VALUES} == VALUES
    assert told["statistics"] == STATISTICS
    assert told["problems"] == []


def test_windows(shown: Any) -> None:
    told = shown("windows")["windows"]
    leads = {(w["guest"], w["index"]): w["translation"] for w in told if w["open"]}
    assert leads == {("qemu1", 0): 0x1000000, ("qemu2", 4): 0x1200000, ("qemu2", 5): 0x1300004}
    assert all(w["device_agrees"] for w in told)


def test_structures(shown: Any) -> None:
    header, *ports = shown("decode", "qemu1", "shared_page")["parts"]
    words = {member["name"]: member["value"] for member in header["members"]}
    assert (words["major"], words["hdr_size"]) == (1, 0x50)
    assert [part["title"] for part in ports] == [
        "port 0, partition 0 (qemu1)",
        "port 2, partition 1 (qemu2)",
    ]
    places = {member["name"]: member["offset"] for member in ports[0]["members"]}
    assert (places["ntctl"], places["image"]) == (0x048, 0x400)


def test_every_word_of_layout_1_is_in_layout_2() -> None:
    """So that whoever asks a block for a word by name need not know its layout."""
    names = [{m.name for m in page.layout("little", major).port.subcons} for major in page.MAJORS]
    assert {name for name in names[0] - names[1] if not name.startswith("rsvd_")} == set()
    assert page.layout("little", layout1.MAJOR).port.sizeof() == 0x840
