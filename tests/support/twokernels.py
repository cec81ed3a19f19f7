# SPDX-License-Identifier: MIT
"""Two kernels in one RAM, as a reboot or kexec leaves them."""

from __future__ import annotations

from typing import Any

from ntbdbg.memory import BufferMemory
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import REAL_SEC, furnish
from tests.support.fakespace import MIB

RAM = 48 * MIB
FIRST: dict[str, Any] = {"phys": 2 * MIB, "pool": MIB, "kaslr": 0x0400_0000}
SECOND: dict[str, Any] = {"phys": 26 * MIB, "pool": 25 * MIB, "kaslr": 0x1C00_0000, "levels": 5}


def kernel(places: dict[str, Any], clock: int | None, release: str = "6.1.0-56-amd64") -> FakeGuest:
    """A whole kernel at one of both places.

    :param clock: seconds of its time of day, None where its clock cannot be read
    """
    guest = FakeGuest(ram=RAM, release=release, **places)
    furnish("qemu1", guest)
    _ = guest.memory
    keeper = guest.at(guest.symbols["tk_core"], "struct fake_tk_core")
    keeper["timekeeper.xtime_sec"] = clock or 0
    if clock is None:
        keeper["timekeeper.ktime_sec"] = 1
    return guest


def together(*guests: FakeGuest) -> BufferMemory:
    """The RAM with what each of them left there."""
    numbers = [int.from_bytes(guest.space.data, "little") for guest in guests]
    both = numbers[0] | numbers[1]
    return BufferMemory(both.to_bytes(RAM, "little"), name="qemu1")


def later_and_earlier() -> tuple[FakeGuest, FakeGuest]:
    """Two whole kernels; by its clock the first would be the live one."""
    return kernel(FIRST, REAL_SEC + 60), kernel(SECOND, REAL_SEC, "6.12.1")
