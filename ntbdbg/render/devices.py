# SPDX-License-Identifier: MIT
"""PCI devices of a guest as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ntbdbg.render.table import plain_table
from ntbdbg.render.text import printable
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.kernel.tasks.pcidevices import PciDevice, PciResource

CLASSES = {
    0x00: "old device",
    0x01: "storage",
    0x02: "network",
    0x03: "display",
    0x04: "multimedia",
    0x05: "memory",
    0x06: "bridge",
    0x07: "communication",
    0x08: "system",
    0x09: "input",
    0x0A: "docking",
    0x0B: "processor",
    0x0C: "serial bus",
    0x0D: "wireless",
    0x10: "encryption",
    0x11: "signal processing",
    0x12: "accelerator",
}
"""Base classes: PCI Code and ID Assignment Specification, section 1."""


class DeviceTable:
    """One line a device, and one for each of its ranges."""

    def __init__(self, devices: Sequence[PciDevice]) -> None:
        self.devices = devices

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = plain_table("SLOT", "ID", "CLASS", "DRIVER", "RESOURCES")
        for device in self.devices:
            first, *more = [resource_words(r) for r in device.resources if r.is_assigned] or ["-"]
            words = CLASSES.get(device.class_code >> 16, "")
            table.add_row(
                printable(device.slot),
                f"{device.vendor:04x}:{device.device:04x}",
                f"{device.class_code:06x} {words}".rstrip(),
                printable(device.driver) if device.driver else "-",
                first,
            )
            for words in more:
                table.add_row("", "", "", "", words)
        yield table


def resource_words(resource: PciResource) -> str:
    """``BAR 2  0xfe000000-0xfe1fffff  2 MiB  memory, 64 bits, prefetchable``."""
    name = f"BAR {resource.index}" if resource.index < 6 else f"range {resource.index}"
    span = f"{resource.start:#x}-{resource.end - 1:#x}"
    return f"{name}  {span}  {format_size(resource.size)}  {resource.kind}"


def device_facts(device: PciDevice) -> dict[str, Any]:
    """One device for JSON."""
    return {
        "slot": device.slot,
        "vendor": device.vendor,
        "device": device.device,
        "subsystem_vendor": device.subsystem_vendor,
        "subsystem_device": device.subsystem_device,
        "class": device.class_code,
        "revision": device.revision,
        "driver": device.driver,
        "irq": device.irq,
        "msi": device.msi,
        "bus_master": device.bus_master,
        "resources": [
            {"index": r.index, "start": r.start, "size": r.size, "flags": r.flags, "kind": r.kind}
            for r in device.resources
        ],
        "address": device.address,
        "driver_data": device.driver_data,
    }
