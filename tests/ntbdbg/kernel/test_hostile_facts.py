# SPDX-License-Identifier: MIT
"""Facts about a kernel from memory with wrong words anywhere in it: bounded answers or errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.ring import PrintkRing
from ntbdbg.kernel.modules.taints import taint_letters
from ntbdbg.kernel.tasks.pcidevices import pci_devices
from ntbdbg.kernel.tasks.tasks import TaskWalker
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import furnish
from tests.support.fakespace import MIB, PAGE

FACTS: dict[str, Callable[[Kernel], int]] = {
    "modules": lambda k: sum(len(m.users) + len(taint_letters(k, m.taints)) for m in k.modules()),
    "devices": lambda k: sum(len(device.resources) for device in pci_devices(k)),
    "tasks": lambda k: len(TaskWalker(k).walk(threads=True)),
    "log": lambda k: len(PrintkRing(k.virtual, k.info).read().records),
}


def _complete() -> tuple[FakeGuest, list[int], list[int]]:
    """A guest, the GPAs of words that are not zero, and what words of it point to."""
    guest = FakeGuest(ram=5 << 20)
    furnish("qemu1", guest)
    data = guest.memory.read(0, len(guest.space.data))
    # Page tables, then the image's data and the heap; VMCOREINFO stays, or no kernel is found.
    spared = {
        guest.physical(guest.tables[f"vmcoreinfo_{kind}"]) // PAGE for kind in ("data", "note")
    }
    words = [
        gpa
        for gpa in range(MIB, len(data), 8)
        if any(data[gpa : gpa + 8]) and gpa // PAGE not in spared
    ]
    pointers = {int.from_bytes(data[gpa : gpa + 8], "little") for gpa in words}
    return guest, words, sorted(p for p in pointers if p >> 47)


GUEST, WORDS, POINTERS = _complete()


@pytest.mark.parametrize("fact", FACTS)
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_wrong_words_anywhere(fact: str, data: st.DataObject) -> None:
    memory = GUEST.copy()
    values = st.one_of(
        st.sampled_from([0, 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 8]),
        st.sampled_from(POINTERS),
        st.integers(0, (1 << 64) - 1),
    )
    for _ in range(data.draw(st.integers(1, 40))):
        memory.write(data.draw(st.sampled_from(WORDS)), data.draw(values).to_bytes(8, "little"))
    try:
        count = FACTS[fact](Kernel.open(memory))
    except (KernelError, FaultError):
        return
    assert count < 1 << 20


def test_nothing_is_wrong_without_damage() -> None:
    kernel = Kernel.open(GUEST.memory)
    assert {name: fact(kernel) for name, fact in FACTS.items()} == {
        "modules": 5,
        "devices": 2,
        "tasks": 3,
        "log": 2,
    }
