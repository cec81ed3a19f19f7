# SPDX-License-Identifier: MIT
"""PCI devices in a fake guest.

pci = FakePci(guest)
ntb = pci.add("0000:00:02.0", 0x111D, 0x8091, 0x068000, driver="ntb_hw_idt",
              bars={0: (0xFEBFD000, 0x1000, 0x40200)})
behind = pci.bus(bridge_of=ntb)
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.fakekernel import FakeGuest, FakeStruct

TYPES = """
struct kobject { char *name; struct list_head entry; struct kobject *parent; };
struct device_driver { char *name; void *bus; void *owner; char *mod_name; };
struct device {
    struct kobject kobj; struct device *parent; void *bus; struct device_driver *driver;
    void *platform_data; void *driver_data;
};
struct resource {
    resource_size_t start, end; char *name; unsigned long flags; unsigned long desc;
    struct resource *parent, *sibling, *child;
};
struct pci_bus {
    struct list_head node; struct pci_bus *parent; struct list_head children, devices;
    struct pci_dev *self; unsigned char number;
};
struct pci_dev {
    struct list_head bus_list; struct pci_bus *bus, *subordinate; unsigned int devfn;
    unsigned short vendor, device, subsystem_vendor, subsystem_device; unsigned int class;
    u8 revision; u8 hdr_type; struct device dev; unsigned int irq; struct resource resource[17];
    unsigned int transparent:1, io_window:1, is_busmaster:1, no_msi:1, msi_enabled:1;
    unsigned int msix_enabled:1;
};
"""
MEM, IO, MEM_64_PREFETCH = 0x40200, 0x40101, 0x14220C
Bars = Mapping[int, tuple[int, int, int]]
"""index → bus address, bytes, IORESOURCE_… flags"""


class FakePci:
    """One root bus; more buses by `bus`."""

    def __init__(self, guest: FakeGuest) -> None:
        self.guest = guest
        guest.types.declare(TYPES)
        self.roots = guest.variable("pci_root_buses", "struct list_head")
        self.roots.empty_list("")
        self.root = self._bus(0)
        self._drivers: dict[str, FakeStruct] = {}
        last = self.roots["prev"]
        self.root["node.next"], self.root["node.prev"] = self.roots.address, last
        self.roots["next"] = self.roots["prev"] = self.root.at("node")

    def bus(self, number: int, bridge: FakeStruct) -> FakeStruct:
        """A bus behind a bridge."""
        made = self._bus(number)
        above = self.guest.at(bridge["bus"], "struct pci_bus")
        made.set(parent=above, self=bridge)
        bridge["subordinate"] = made
        above.append("children", made, "node")
        return made

    def add(
        self,
        slot: str,
        vendor: int,
        device: int,
        class_code: int,
        *,
        driver: str | None = None,
        bars: Bars | None = None,
        bus: FakeStruct | None = None,
        bus_master: bool = False,
        driver_data: int | FakeStruct = 0,
    ) -> FakeStruct:
        """A function on `bus`, by default the root bus."""
        home = bus or self.root
        made = self.guest.new("struct pci_dev", vendor=vendor, device=device, bus=home)
        made.set(irq=24, is_busmaster=bus_master, msi_enabled=driver is not None)
        made["class"] = class_code
        made["devfn"] = int(slot[8:10], 16) << 3 | int(slot[11])
        made["dev.kobj.name"] = self.guest.text(slot)
        made["dev.driver_data"] = driver_data
        if driver is not None:
            made["dev.driver"] = self._driver(driver)
        for index, (start, size, flags) in (bars or {}).items():
            made[f"resource[{index}].start"] = start
            made[f"resource[{index}].end"] = start + size - 1
            made[f"resource[{index}].flags"] = flags
        home.append("devices", made, "bus_list")
        return made

    def _driver(self, name: str) -> FakeStruct:
        if name not in self._drivers:
            text = self.guest.text(name)
            self._drivers[name] = self.guest.new("struct device_driver", name=text)
        return self._drivers[name]

    def _bus(self, number: int) -> FakeStruct:
        made = self.guest.new("struct pci_bus", number=number)
        for member in ("node", "children", "devices"):
            made.empty_list(member)
        return made
