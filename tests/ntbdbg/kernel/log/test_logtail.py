# SPDX-License-Identifier: MIT
"""Following the log, look by look."""

from __future__ import annotations

import pytest

from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.logtail import QUIET_POLLS, REBOOTED, LogTail
from ntbdbg.memory import BufferMemory
from tests.support.fakekernel import FakeGuest
from tests.support.fakelog import FakeLog


def booted(kaslr: int, *lines: str) -> tuple[FakeGuest, FakeLog]:
    guest = FakeGuest(kaslr=kaslr, ram=5 << 20)
    log = FakeLog(guest)
    for line in lines:
        log.add(line)
    return guest, log


class Following:
    """A tail on RAM that a test replaces."""

    def __init__(self, guest: FakeGuest) -> None:
        self.memory = guest.memory
        self.tail = LogTail(lambda: Kernel.open(self.memory))

    def poll(self) -> list[str]:
        return [record.text for record in self.tail.poll().records]

    def quiet(self) -> None:
        for _ in range(QUIET_POLLS):
            assert self.poll() == []


def test_each_record_comes_once() -> None:
    guest, log = booted(0, "one", "two")
    following = Following(guest)
    assert following.poll() == ["one", "two"]
    assert following.poll() == []
    log.add("three")
    assert following.poll() == ["three"]
    following.quiet()
    log.add("four")
    assert following.poll() == ["four"]


@pytest.mark.parametrize("kaslr", [0, 0x200_0000])
def test_another_boot_begins_anew(kaslr: int) -> None:
    following = Following(booted(0, "one", "two", "three")[0])
    assert len(following.poll()) == 3
    following.memory = booted(kaslr, "uno")[0].memory
    following.quiet()  # the tail still reads the RAM of before
    log = following.tail.poll()
    assert [record.text for record in log.records] == ["uno"]
    assert log.notes == (REBOOTED,)


def test_a_guest_between_two_kernels_has_nothing_to_say() -> None:
    guest, _ = booted(0, "one")
    following = Following(guest)
    assert following.poll() == ["one"]
    ram = guest.space.data
    ram[:] = bytes(len(ram))
    following.memory = BufferMemory(ram)
    assert following.poll() == []
    following.memory = booted(0x200_0000, "uno")[0].memory
    assert following.poll() == ["uno"]


def test_without_a_kernel_it_does_not_begin() -> None:
    tail = LogTail(lambda: Kernel.open(BufferMemory(bytearray(1 << 20))))
    with pytest.raises(KernelError):
        tail.poll()
