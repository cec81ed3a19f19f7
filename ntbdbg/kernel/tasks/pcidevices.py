# SPDX-License-Identifier: MIT
"""PCI devices as a kernel knows them: the tree of buses from ``pci_root_buses`` on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntbdbg.budget import SpentError
from ntbdbg.errors import FaultError
from ntbdbg.kernel.modules.listing import Listing, walk_list

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Record
    from ntbdbg.kernel.image.image import KernelImage

MOST_BUSES = 1 << 16
MOST_ON_BUS = 256
STEPS_OF_A_DEVICE = 256
"""What it takes to read one and to show it, in steps of the budget."""

LONGEST_NAME = 256
MOST_RESOURCES = 64
"""Of a device; Linux has 17 (DEVICE_COUNT_RESOURCE)."""

BARS = 6

IO, MEM, PREFETCH, MEM_64 = 0x100, 0x200, 0x2000, 0x10_0000
DISABLED, UNSET = 0x1000_0000, 0x2000_0000
"""``IORESOURCE_…`` of include/linux/ioport.h."""


@dataclass(frozen=True)
class PciResource:
    """One of a device's ranges.

    :ivar index: 0-5 for a BAR, 6 for the expansion ROM, then bridge windows and the like
    :ivar start: first bus address of it; `size` bytes
    :ivar flags: ``IORESOURCE_…``, as sysfs' ``resource`` shows them
    """

    index: int
    start: int
    size: int
    flags: int

    @property
    def kind(self) -> str:
        """``memory``, ``memory, 64 bits, prefetchable``, ``I/O``."""
        if self.flags & IO:
            return "I/O"
        words = ["memory" if self.flags & MEM else f"flags {self.flags:#x}"]
        words += ["64 bits"] if self.flags & MEM_64 else []
        words += ["prefetchable"] if self.flags & PREFETCH else []
        return ", ".join(words)

    @property
    def is_assigned(self) -> bool:
        """Whether it has an address."""
        return bool(self.size) and not self.flags & UNSET

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.start + self.size


@dataclass(frozen=True)
class PciDevice:
    """One function of a device.

    :ivar slot: as sysfs names it: ``0000:00:02.0``
    :ivar class_code: base class, subclass, interface: ``0x068000``
    :ivar driver: the driver bound to it, None if none is
    :ivar resources: what is assigned to it, by index
    :ivar driver_data: VA that its driver keeps with it (``pci_set_drvdata``), 0 for none
    :ivar address: VA of its ``struct pci_dev``
    """

    slot: str
    vendor: int
    device: int
    subsystem_vendor: int
    subsystem_device: int
    class_code: int
    revision: int
    driver: str | None
    irq: int
    msi: bool
    bus_master: bool
    resources: tuple[PciResource, ...]
    driver_data: int
    address: int
    record: Record = field(repr=False, compare=False)

    def bar(self, index: int) -> PciResource | None:
        """What BAR `index` is mapped to, None if nothing."""
        return next((r for r in self.resources if r.index == index and index < BARS), None)


def pci_devices(kernel: KernelImage) -> Listing[PciDevice]:
    """Every PCI function by slot; `partial` says if some may lack.

    :raises KernelError: the kernel has no PCI, or its types lack what is needed
    """
    return _Walk(kernel).walk()


class _Walk:
    def __init__(self, kernel: KernelImage) -> None:
        self.kernel = kernel
        self.virtual = kernel.virtual
        self.bus = kernel.layouts["pci_bus"]
        self.dev = kernel.layouts["pci_dev"]
        self.driver = kernel.layouts["device_driver"]
        self.budget = kernel.budget
        self.partial: str | None = None

    def walk(self) -> Listing[PciDevice]:
        found: Listing[PciDevice] = Listing()
        try:
            for address in self._addresses():
                self._take(address, found)
        except SpentError as error:
            self.partial = error.message
        found.sort(key=lambda device: device.slot)
        found.partial = self.partial
        return found

    def _take(self, address: int, found: Listing[PciDevice]) -> None:
        self.budget.take(items=1)
        self.budget.step(STEPS_OF_A_DEVICE)
        try:
            found.append(self._device(address))
        except FaultError as error:
            self.partial = f"the device at {address:#x} cannot be read: {error.message}"

    def _addresses(self) -> Iterator[int]:
        """VA of each device, once, however many buses of a damaged guest it is on."""
        offset = self.dev.find("bus_list").offset
        seen: set[int] = set()
        for bus in self._buses():
            for node in self._nodes(bus + self.bus.find("devices").offset, MOST_ON_BUS):
                if node in seen:
                    self.partial = f"two buses have the device at {node - offset:#x}"
                    break
                seen.add(node)
                yield node - offset

    def _buses(self) -> Iterator[int]:
        """VAs of all buses: root buses, and those behind bridges."""
        offset, children = self.bus.find("node").offset, self.bus.find("children").offset
        seen: set[int] = set()
        heads = [self.kernel.symbol("pci_root_buses").address]
        while heads:
            for node in self._nodes(heads.pop(), MOST_BUSES):
                bus = node - offset
                if bus in seen or len(seen) == MOST_BUSES:
                    self.partial = f"the tree of buses is damaged: it comes back to {bus:#x}"
                    continue
                seen.add(bus)
                heads.append(bus + children)
                yield bus

    def _nodes(self, head: int, limit: int) -> Listing[int]:
        nodes = walk_list(self.virtual, head, limit, self.budget)
        self.partial = nodes.partial or self.partial
        return nodes

    def _device(self, address: int) -> PciDevice:
        record = self.dev.parse(self.virtual, address)
        return PciDevice(
            slot=self._slot(record),
            vendor=record.number("vendor"),
            device=record.number("device"),
            subsystem_vendor=record.number("subsystem_vendor"),
            subsystem_device=record.number("subsystem_device"),
            class_code=record.number("class"),
            revision=record.number("revision"),
            driver=self._driver_name(record),
            irq=record.number("irq"),
            msi=bool(record.number("msi_enabled") or record.number("msix_enabled")),
            bus_master=bool(record.number("is_busmaster")),
            resources=tuple(self._resources(record)),
            driver_data=record.number("dev.driver_data"),
            address=address,
            record=record,
        )

    def _slot(self, record: Record) -> str:
        """Its name in sysfs; made of its numbers should it have none (yet)."""
        name = record.number("dev.kobj.name")
        return self._text(name) or f"????:??:{record.number('devfn') >> 3:02x}.?"

    def _driver_name(self, record: Record) -> str | None:
        driver = record.number("dev.driver")
        if not driver:
            return None
        try:
            return self._text(self.driver.parse(self.virtual, driver).number("name")) or "?"
        except FaultError:
            return "?"

    def _text(self, address: int) -> str:
        from ntbdbg.kernel.mmu.virtual import read_some

        raw = read_some(self.virtual, address, LONGEST_NAME) if address else b""
        return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")

    def _resources(self, record: Record) -> Iterator[PciResource]:
        for index in range(self.dev.length("resource", MOST_RESOURCES)):
            path = f"resource[{index}]"
            start, end = record.number(f"{path}.start"), record.number(f"{path}.end")
            flags = record.number(f"{path}.flags")
            if flags and end >= start and not flags & DISABLED:
                yield PciResource(index, start, end - start + 1, flags)


def find_device(kernel: KernelImage, driver: str) -> Listing[PciDevice]:
    """The PCI functions that a driver is bound to."""
    every = pci_devices(kernel)
    found: Listing[PciDevice] = Listing(one for one in every if one.driver == driver)
    found.partial = every.partial
    return found
