# SPDX-License-Identifier: MIT
"""A panic seen in RAM, also after a reboot brought another kernel."""

from __future__ import annotations

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.panicwatch import PATIENCE, PanicWatch
from ntbdbg.memory import BufferMemory
from tests.support.fakekernel import FakeGuest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def booted() -> FakeGuest:
    guest = FakeGuest()
    guest.number("panic_cpu", -1, "int")
    guest.number("jiffies_64", 1000)
    return guest


def store(guest: FakeGuest, name: str, value: int, size: int) -> None:
    guest.space.write(guest.symbols[name], value.to_bytes(size, "little", signed=True))


def test_a_kernel_that_panics() -> None:
    guest = booted()
    watch = PanicWatch(guest.memory, Kernel.open, clock=Clock())
    assert not watch.panics()
    assert watch.understood
    store(guest, "panic_cpu", 0, 4)
    assert PanicWatch(guest.memory, Kernel.open, clock=Clock()).panics()
    store(guest, "panic_cpu", 3, 4)
    assert PanicWatch(guest.memory, Kernel.open, clock=Clock()).panics()


def test_memory_without_a_kernel_is_asked_again_but_not_always() -> None:
    clock, guest = Clock(), booted()
    full = guest.memory
    size = sum(segment.size for segment in full.segments)
    data = bytearray(size)
    memory = BufferMemory(data, list(full.segments), name="qemu1")
    watch = PanicWatch(memory, Kernel.open, clock=clock)
    assert not watch.panics()
    assert not watch.understood
    store(guest, "panic_cpu", 1, 4)
    for segment in full.segments:
        memory.write(segment.start, guest.memory.read(segment.start, segment.size))
    assert not watch.panics(), "too soon to look again"
    clock.now += PATIENCE
    assert watch.panics()
    assert watch.understood
