# SPDX-License-Identifier: MIT
"""Interrupts of an NTB that cannot reach its driver, each for its own reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.analysis.evidence import Evidence, Scene
from ntbdbg.analysis.finders import interrupts as finder
from ntbdbg.analysis.finders.interrupts import interrupts
from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.kernel.tasks.irqs import DISABLED, MASKED
from ntbdbg.lab.lab import Lab
from tests.support.fakeirqs import FakeIrqs
from tests.support.fakekernel import FakeGuest, FakeStruct
from tests.support.fakemodules import FakeModules
from tests.support.fakepci import FakePci
from tests.support.fakeswitch import FakeSwitch
from tests.support.linuxlab import LinuxLab

IRQ = 24
ADDRESS, DATA = 0xFEE0_0000, 0x4021
CONTROL = 0x0080
"""MSI message control: 64 bits, one vector, disabled."""

INTX_DISABLE = 0x400
COUNTED = "the device has sent 12, the guest counted 11"
SET = f"the kernel set address {ADDRESS:#x} data {DATA:#x}"


def furnish(name: str, guest: FakeGuest) -> dict[str, FakeStruct]:
    """An NTB with its driver, whose interrupt is an MSI."""
    guest.number("panic_cpu", (1 << 32) - 1, "int")
    FakeModules(guest).add("ntb_hw_idt", size=0x4000)
    pci = FakePci(guest)
    pci.add("0000:00:00.0", 0x8086, 0x29C0, 0x060000)
    device = pci.add("0000:00:02.0", 0x111D, 0x8091, 0x068000, driver="my_ntb", bus_master=True)
    irq = FakeIrqs(guest).add(IRQ, counts=(4, 7), message=(ADDRESS, DATA))
    return {"device": device, "irq": irq}


def msi_switch() -> FakeSwitch:
    """Ports that are set up as the kernels know them: MSI on, INTx off."""
    switch = FakeSwitch()
    switch.link_up()
    for part in (0, 1):
        port = switch.port(part)
        port.msi_ctl, port.msi_addr, port.msi_data = CONTROL | 1, ADDRESS, DATA
        port.pcicmd |= INTX_DISABLE
        port.msi = 12
    return switch


class Wired(LinuxLab):
    """A lab where all interrupts arrive, until something of qemu2 is changed."""

    def __init__(self, root: Path) -> None:
        self.switch = msi_switch()
        self.parts: dict[str, dict[str, FakeStruct]] = {}

        def furnished(name: str, guest: FakeGuest) -> None:
            self.parts[name] = furnish(name, guest)

        super().__init__(root, furnish=furnished, page=self.switch.build())

    def device(self, **words: int) -> None:
        """Change words of the second port's block."""
        self.switch.port(1).update(words)
        assert self.manifest.link is not None
        self.switch.save(self.manifest.link.shared_page)

    def kernel(self, what: str, **members: int) -> None:
        """Change members of qemu2's `device` or `irq`."""
        for path, value in members.items():
            self.parts["qemu2"][what][path] = value
        self.linux["qemu2"].save(self.ram_path("qemu2"))

    def told(self) -> list[Verdict]:
        with Lab.open(self.folder) as opened:
            seen = tuple(
                Evidence(name, "running", lambda name=name: opened.guest(name))  # type: ignore[misc]
                for name in opened.names
            )
            return list(interrupts(Scene(opened, seen)))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Wired]:
    with Wired(tmp_path / "run") as made:
        yield made


def test_what_arrives_is_not_told(lab: Wired) -> None:
    assert lab.told() == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"msi_ctl": CONTROL}, f"MSI is disabled (MSI control 0x0080), {SET}"),
        (
            {"msi_addr": 0xFEE0_1000},
            f"the device sends it to address 0xfee01000 data {DATA:#x}, {SET}",
        ),
        ({"msi_data": 0}, f"the device sends it to address {ADDRESS:#x} data 0x0, {SET}"),
        ({"pcicmd": 0x402}, "bus mastering is off (PCI command 0x0402)"),
    ],
    ids=["off", "address", "data", "bus master"],
)
def test_the_device_does_not_send_the_message_that_the_kernel_set(
    lab: Wired, words: dict[str, int], why: str
) -> None:
    lab.device(**words)
    (found,) = lab.told()
    assert (found.severity, found.who) == (Severity.WRONG, "qemu2")
    assert found.text == f"interrupt 24 of its NTB cannot arrive: {why}; {COUNTED}"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"msi_ctl": CONTROL}, "INTx is disabled (PCI command 0x0406)"),
        ({}, f"the device sends MSI to address {ADDRESS:#x} data {DATA:#x}, the kernel waits"),
    ],
    ids=["off", "by MSI"],
)
def test_the_kernel_waits_for_intx(lab: Wired, words: dict[str, int], why: str) -> None:
    lab.kernel("device", msi_enabled=0)
    lab.device(**words)
    (found,) = lab.told()
    assert found.text.startswith(f"interrupt 24 of its NTB cannot arrive: {why}")
    lab.device(msi_ctl=CONTROL, pcicmd=6)
    assert lab.told() == []


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"action": 0}, "no handler is registered"),
        (
            {"depth": 1, "irq_common_data.state_use_accessors": DISABLED | MASKED},
            "the kernel has disabled it (depth 1)",
        ),
        ({"irq_common_data.state_use_accessors": MASKED}, "the kernel has masked it"),
    ],
    ids=["handler", "disabled", "masked"],
)
def test_the_kernel_does_not_take_it(lab: Wired, members: dict[str, Any], why: str) -> None:
    lab.kernel("irq", **members)
    (found,) = lab.told()
    assert found.severity is Severity.WRONG
    assert found.text == f"interrupt 24 of its NTB cannot arrive: {why}; {COUNTED}"
    lab.device(ntintmsk=0xBB)
    assert lab.told() == [], "a driver that masks all causes wants no interrupt"


def test_an_interrupt_that_the_kernel_does_not_have(lab: Wired) -> None:
    lab.kernel("device", irq=7)
    (found,) = lab.told()
    assert found.text == (
        "interrupt 7 of its NTB cannot arrive: the kernel has no interrupt 7; "
        "the device has sent 12"
    )


def test_two_reasons_are_both_told(lab: Wired) -> None:
    lab.kernel("irq", action=0)
    lab.device(msi_ctl=CONTROL)
    (found,) = lab.told()
    assert "no handler is registered; MSI is disabled" in found.text


def test_a_page_that_does_not_tell_of_msi(lab: Wired) -> None:
    lab.device(msi_ctl=0, msi_addr=0, msi_data=0)
    assert lab.told() == []
    lab.device(pcicmd=0x402)
    (found,) = lab.told()
    assert "bus mastering is off" in found.text


def test_what_was_there_for_a_moment_is_not_told(
    lab: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel moves the interrupt to another processor: first it tells the device."""
    lab.device(msi_addr=0xFEE0_1000)
    looks = 0

    def look(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 3:
            lab.device(msi_addr=ADDRESS)
        return original(*arguments)

    original = finder._look
    monkeypatch.setattr(finder, "_look", look)
    assert not [verdict for verdict in lab.told() if verdict.who == "qemu2"]
    assert looks == 3, "one at qemu1, two at qemu2"


def test_a_guest_that_panicked_has_other_worries(lab: Wired) -> None:
    guest = lab.linux["qemu2"]
    lab.device(msi_ctl=CONTROL)
    lab.poke("qemu2", guest.physical(guest.symbols["panic_cpu"]), bytes(4))
    assert lab.told() == []


def test_no_driver_is_bound(lab: Wired) -> None:
    lab.kernel("device", **{"dev.driver": 0, "msi_enabled": 0})
    (found,) = lab.told()
    assert (found.severity, found.who) == (Severity.NOTABLE, "qemu2")
    assert found.text == (
        "no driver is bound to its NTB at 0000:00:02.0, so nobody handles its interrupts"
    )


def test_where_nobody_can_look_that_is_told(lab: Wired) -> None:
    guest = lab.linux["qemu2"]
    tree = guest.physical(guest.symbols["sparse_irqs"])
    lab.poke("qemu2", tree + 8, (0xDEAD_0002).to_bytes(8, "little"))
    (found,) = lab.told()
    assert (found.severity, found.who) == (Severity.UNKNOWN, "qemu2")
    assert found.text.startswith("nobody can say whether its NTB's interrupt arrives: the maple")


def test_without_a_driver_loaded_nobody_wants_to_know(tmp_path: Path) -> None:
    with LinuxLab(tmp_path / "run") as made, Lab.open(made.folder) as opened:
        seen = Evidence("qemu1", "running", lambda: opened.guest("qemu1"))
        assert list(interrupts(Scene(opened, (seen,)))) == []
