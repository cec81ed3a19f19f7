# SPDX-License-Identifier: MIT
"""PCI devices, by a fake tree of buses."""

from __future__ import annotations

import pytest

from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.tasks.pcidevices import PciResource, find_device, pci_devices
from tests.support.fakekernel import FakeGuest
from tests.support.fakepci import IO, MEM, MEM_64_PREFETCH, FakePci


def fake() -> tuple[FakeGuest, FakePci]:
    guest = FakeGuest()
    pci = FakePci(guest)
    pci.add(
        "0000:00:02.0",
        0x111D,
        0x8091,
        0x068000,
        driver="ntb_hw_idt",
        bars={0: (0xFEBF_D000, 0x1000, MEM), 2: (0xFE00_0000, 2 << 20, MEM_64_PREFETCH)},
        bus_master=True,
        driver_data=0xFFFF_8880_0012_3000,
    )
    pci.add("0000:00:00.0", 0x8086, 0x29C0, 0x060000)
    return guest, pci


def test_a_device_is_that_of_sysfs() -> None:
    guest, _ = fake()
    found = pci_devices(Kernel.open(guest.memory))
    assert found.partial is None
    host, ntb = found
    assert (host.slot, host.driver, host.resources) == ("0000:00:00.0", None, ())
    assert (ntb.slot, ntb.vendor, ntb.device) == ("0000:00:02.0", 0x111D, 0x8091)
    assert (ntb.class_code, ntb.driver, ntb.irq) == (0x068000, "ntb_hw_idt", 24)
    assert (ntb.msi, ntb.bus_master, ntb.driver_data) == (True, True, 0xFFFF_8880_0012_3000)
    assert ntb.resources == (
        PciResource(0, 0xFEBF_D000, 0x1000, MEM),
        PciResource(2, 0xFE00_0000, 2 << 20, MEM_64_PREFETCH),
    )
    assert ntb.bar(2) == ntb.resources[1]
    assert ntb.bar(4) is None


def test_kinds_of_resources() -> None:
    kinds = [PciResource(0, 0, 16, flags).kind for flags in (MEM, IO, MEM_64_PREFETCH, 0x8)]
    assert kinds == ["memory", "I/O", "memory, 64 bits, prefetchable", "flags 0x8"]


def test_buses_behind_bridges() -> None:
    guest, pci = fake()
    bridge = pci.add("0000:00:03.0", 0x1B36, 0x000C, 0x060400, driver="pcieport")
    behind = pci.bus(1, bridge)
    pci.add("0000:01:00.0", 0x1AF4, 0x1041, 0x020000, bus=behind, driver="virtio-pci")
    deeper = pci.bus(2, pci.add("0000:01:01.0", 0x1B36, 0x000C, 0x060400, bus=behind))
    pci.add("0000:02:00.0", 0x1AF4, 0x1042, 0x010000, bus=deeper)
    found = pci_devices(Kernel.open(guest.memory))
    assert [device.slot[5:] for device in found] == [
        "00:00.0", "00:02.0", "00:03.0", "01:00.0", "01:01.0", "02:00.0",
    ]  # fmt: skip
    assert [device.slot for device in find_device(Kernel.open(guest.memory), "virtio-pci")] == [
        "0000:01:00.0"
    ]


def test_a_bus_that_is_its_own_child() -> None:
    guest, pci = fake()
    child = pci.bus(1, pci.add("0000:00:03.0", 0x1B36, 0xC, 0x060400))
    child["children.next"] = child.at("node")
    found = pci_devices(Kernel.open(guest.memory))
    assert len(found) == 3
    assert found.partial


def test_devices_in_a_circle() -> None:
    guest, pci = fake()
    last = pci.add("0000:00:04.0", 1, 2, 3)
    last["bus_list.next"] = last.at("bus_list")
    found = pci_devices(Kernel.open(guest.memory))
    assert len(found) == 3
    assert "circle" in (found.partial or "")


def test_names_that_cannot_be_read() -> None:
    guest, pci = fake()
    odd = pci.add("0000:00:1f.3", 1, 2, 3, driver="x")
    odd["dev.kobj.name"] = 0
    guest.at(odd["dev.driver"], "struct device_driver")["name"] = 0xDEAD
    found = pci_devices(Kernel.open(guest.memory))
    assert [(device.slot, device.driver) for device in found][-1] == ("????:??:1f.?", "?")


def test_a_kernel_without_pci() -> None:
    with pytest.raises(KernelError, match="no struct pci_bus"):
        pci_devices(Kernel.open(FakeGuest().memory))
