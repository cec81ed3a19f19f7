# SPDX-License-Identifier: MIT
"""A lab at a glance, on wide and narrow terminals."""

from __future__ import annotations

import io

from ntbdbg.analysis.summary import GuestSummary, LabSummary
from ntbdbg.render.console import make_console
from ntbdbg.render.summary import LabView

GUESTS = (
    GuestSummary("qemu1", "running", "/dev/shm/qemu1", 256 << 20, 64 << 20, None, "q35", 0, 4711),
    GuestSummary("qemu2", "dead", "/dev/shm/qemu2", 256 << 20, None, "is gone", "q35", 2),
)
LAB = LabSummary("default", "the only lab", "/run/user/1000/run.json", "linked", GUESTS, None, ())

WIDE = """
lab default, linked: /run/user/1000/run.json (the only lab)
GUEST  STATE    MACHINE  PORT  PID   SSH      RAM  ALLOCATED  RAM FILE
qemu1  running  q35      0     4711  -    256 MiB     64 MiB  /dev/shm/qemu1
qemu2  dead     q35      2     -     -    256 MiB          -  is gone
link: none
"""
NARROW = """
lab default, linked: /run/user/1000/run.json (the only lab)
qemu1
  state      running
  machine    q35
  port       0
  pid        4711
  ram        256 MiB
  allocated  64 MiB
  ram file   /dev/shm/qemu1
qemu2
  state     dead
  machine   q35
  port      2
  ram       256 MiB
  ram file  is gone
link: none
"""


def shown(width: int) -> str:
    stream = io.StringIO()
    make_console(stream, color=False, width=width).print(LabView(LAB))
    return "\n" + "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def test_where_there_is_room() -> None:
    assert shown(80) == WIDE


def test_where_there_is_none_nothing_is_cut_off() -> None:
    assert shown(40) == NARROW
