# SPDX-License-Identifier: MIT
"""Interrupts by number, in the trees of kernels before and since 6.5."""

from __future__ import annotations

import pytest

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.tasks.irqs import DISABLED, IN_PROGRESS, MASKED, Irq, MsiMessage, read_irq
from tests.support.fakeirqs import FakeIrqs
from tests.support.fakekernel import FakeGuest

NUMBERS = (1, 4, 5, 9, 24, 25, 26, 30, 63, 64, 65, 128, 200, 1000)


@pytest.mark.parametrize("maple", [True, False], ids=["maple tree", "xarray"])
def test_each_is_found_by_its_number_and_no_other(maple: bool) -> None:
    guest = FakeGuest()
    irqs = FakeIrqs(guest, maple=maple)
    for number in NUMBERS:
        irqs.add(number, counts=(number, 1000))
    kernel = Kernel.open(guest.memory)
    found = {number: read_irq(kernel, number) for number in range(1200)}
    assert {n: irq.count for n, irq in found.items() if irq} == {n: n + 1000 for n in NUMBERS}
    assert read_irq(kernel, 1 << 40) is None


def test_what_is_told_of_one() -> None:
    guest = FakeGuest()
    FakeIrqs(guest).add(24, counts=(3, 4), message=(0x1_FEE0_1000, 0x4021))
    found = read_irq(Kernel.open(guest.memory), 24)
    assert found == Irq(24, True, 0, False, 7, MsiMessage(0x1_FEE0_1000, 0x4021))
    assert str(found.message) == "address 0x1fee01000 data 0x4021"


def test_states() -> None:
    guest = FakeGuest()
    irqs = FakeIrqs(guest)
    irq = irqs.add(24)
    kernel = Kernel.open(guest.memory)

    def told(state: int, **members: int) -> tuple[int, bool, bool]:
        irq["irq_common_data.state_use_accessors"] = state
        irq.set(**members)
        found = read_irq(kernel, 24)
        assert found
        return found.depth, found.masked, found.handled

    assert told(MASKED) == (0, True, True)
    assert told(MASKED | IN_PROGRESS) == (0, False, True)
    assert told(MASKED, threads_oneshot=1) == (0, False, True)
    assert told(DISABLED | MASKED, threads_oneshot=0, depth=2) == (2, True, True)
    assert told(0, depth=0, action=0) == (0, False, False)


@pytest.mark.parametrize("maple", [True, False], ids=["maple tree", "xarray"])
def test_a_tree_that_leads_in_circles(maple: bool) -> None:
    guest = FakeGuest()
    irqs = FakeIrqs(guest, maple=maple)
    for number in NUMBERS:
        irqs.add(number)
    root = irqs.tree["ma_root" if maple else "xa_head"]
    if maple:
        guest.at(root & ~255, "struct maple_node").set(
            **{"ma64.slot[0]": root, "ma64.pivot[0]": 64}
        )
    else:
        guest.at(root - 2, "struct xa_node").set(shift=0)
        guest.at(root - 2, "struct xa_node")["slots[24]"] = root
    with pytest.raises(KernelError, match="deeper than 16 levels"):
        read_irq(Kernel.open(guest.memory), 24)


def test_a_tree_that_leads_nowhere() -> None:
    guest = FakeGuest()
    irqs = FakeIrqs(guest)
    irqs.add(24)
    irqs.tree["ma_root"] = 0xDEAD_0000 | 3 << 3 | 2
    with pytest.raises(FaultError):
        read_irq(Kernel.open(guest.memory), 24)
    irqs.tree["ma_root"] = 0xDEAD_0000 | 9 << 3 | 2
    with pytest.raises(KernelError, match="a node of type 9"):
        read_irq(Kernel.open(guest.memory), 24)
    irqs.tree["ma_root"] = 0
    assert read_irq(Kernel.open(guest.memory), 24) is None


def test_a_kernel_without_a_tree() -> None:
    with pytest.raises(KernelError, match="in no tree"):
        read_irq(Kernel.open(FakeGuest().memory), 24)
