# SPDX-License-Identifier: MIT
"""Captures of a real pair: of one moment under load, answers as live, panics and deaths."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ntbdbg
from ntbdbg.inspect.livecopy import LiveCopy, Pair
from ntbdbg.memory import RamFile
from ntbdbg.ntb.driver import read_driver
from ntbdbg.ntb.page import PORT_OFF, PORT_STRIDE, layout
from tests.vm.support import CHECKOUT, Lab

pytestmark = pytest.mark.vm

CAPTURES = 20


def capture(lab: Lab, path: Path, *words: str) -> dict[str, Any]:
    return lab.json("capture", str(path), *words)


def blocks(page: bytes) -> list[Any]:
    """The port blocks, by the construct layout alone."""
    block = layout(sys.byteorder).port
    starts = (PORT_OFF + part * PORT_STRIDE for part in (0, 1))
    return [block.parse(page[start : start + block.sizeof()]) for start in starts]


def counts(path: Path) -> list[int]:
    """How often each guest's ntb_pingpong took a doorbell, from the captured RAM."""
    with ntbdbg.open(path) as captured:
        found = []
        for guest in captured:
            client = read_driver(guest.kernel).client
            assert client is not None
            found.append(client.count)
        return found


def test_captures_under_load_are_of_one_moment(lab: Lab, tmp_path: Path) -> None:
    """Every doorbell that a device sent was handled by the other guest, or is pending there.

    What was sent is counted in the page, what was handled in RAM, so the two of a capture agree
    only if they are of the same moment. Doorbells that got lost before the link was up on both
    sides make a difference that stays the same.
    """
    path = tmp_path / "load.cap"
    gaps: list[tuple[int, int]] = []
    pending: list[tuple[int, int]] = []
    for number in range(CAPTURES):
        told = capture(lab, path, "--force", *(["--pack"] if number % 2 else []))
        assert told["consistent"]
        assert told["notes"] == []
        assert [guest["state"] for guest in told["guests"]] == ["running", "running"]
        with ntbdbg.open(path) as captured:
            one, two = blocks(captured.page().whole(1 << 20))
        first, second = counts(path)
        assert [block.kick_pending for block in (one, two)] == [0, 0]
        assert one.db_rx <= two.db_tx, "received, but not sent"
        assert two.db_rx <= one.db_tx, "received, but not sent"
        gaps.append((one.db_tx - second, two.db_tx - first))
        pending.append((two.indbellsts, one.indbellsts))
    for gap, waiting in zip(zip(*gaps, strict=True), zip(*pending, strict=True), strict=True):
        assert min(gap) >= 0, f"handled, but not sent: {gap}"
        for late, bits in zip(gap, waiting, strict=True):
            assert late == min(gap) or (late == min(gap) + 1 and bits), (gap, waiting)


def test_nothing_moves_while_all_stand_still(lab: Lab, tmp_path: Path) -> None:
    with ntbdbg.open(lab.folder / "run.json") as opened:
        pairs = []
        for guest in opened:
            fd = os.open(tmp_path / guest.name, os.O_RDWR | os.O_CREAT)
            assert isinstance(guest.memory, RamFile)
            pairs.append(Pair(guest.memory, fd))
        with LiveCopy(pairs, 3) as copy, opened.frozen():
            copy.update()
            first = opened.page().read()
            assert [copy.update(), copy.update()] == [0, 0]
            assert opened.page().read() == first
        for pair in pairs:
            os.close(pair.copy)


SAME = [
    ("dump", "qemu1", "0x100000", "4K"),
    ("dump", "qemu1", "init_uts_ns"),
    ("decode", "qemu2", "struct uts_namespace", "init_uts_ns"),
    ("decode", "qemu1", "nt_port"),
    ("windows",),
    ("windows", "qemu2", "--all"),
    ("regs", "qemu1", "--all"),
    ("search", "qemu1", "str:Linux version", "--limit", "3"),
    ("diff", "qemu1", "qemu2", "0x100000", "64K", "--summary"),
    ("info", "qemu1"),
    ("ps", "qemu1"),
    ("modules", "qemu2"),
    ("dmesg", "qemu2"),
    ("devices", "qemu1"),
    ("ntb",),
    ("bt", "qemu1", "--all"),
]


def answer(lab: Lab, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ntbdbg", *words],
        capture_output=True,
        text=True,
        timeout=300,
        env=lab.environ,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode in (0, 1), (words, done.stderr)
    return done.returncode, done.stdout


def test_live_and_captured_answers_are_the_same(lab: Lab, tmp_path: Path) -> None:
    folder, packed = tmp_path / "f.cap", tmp_path / "p.cap"
    lab.ntbdbg("freeze")
    try:
        capture(lab, folder)
        capture(lab, packed, "--pack")
        for number, words in enumerate(SAME):
            live = answer(lab, "--lab", lab.name, *words)
            assert live[1], words
            # In turns: tests of the memories compare the two with each other.
            path = packed if number % 3 else folder
            assert answer(lab, "--from", str(path), *words) == live, (words, path)
    finally:
        lab.ntbdbg("resume")
