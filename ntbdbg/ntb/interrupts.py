# SPDX-License-Identifier: MIT
"""Why the interrupt of a port cannot reach its driver.

Pure: what the kernel knows of it (`ntbdbg.kernel.tasks.irqs`) and what the device says of
itself in the shared page come in, each obstacle goes out as a clause.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.kernel.tasks.irqs import MsiMessage

if TYPE_CHECKING:
    from ntbdbg.kernel.tasks.irqs import Irq
    from ntbdbg.kernel.tasks.pcidevices import PciDevice
    from ntbdbg.ntb.model import NtPort

IDT, BRIDGE = 0x111D, 0x0680
"""Vendor, and base class with subclass, of every NT function of an IDT switch."""

INTX_DISABLE = 1 << 10
"""PCI command."""

MSI_ENABLE = 1 << 0
"""MSI message control."""

CAUSES = 0xBB
"""NTINTMSK: all causes of an interrupt (§1.7)."""


def is_port(device: PciDevice) -> bool:
    """Whether a PCI function is an NT port."""
    return device.vendor == IDT and device.class_code >> 8 == BRIDGE


def obstacles(device: PciDevice, irq: Irq | None, port: NtPort | None) -> tuple[str, ...]:
    """All that keeps the interrupt of `device` from its driver; () if nothing is known to.

    :param irq: the kernel's word, None if it knows no such interrupt
    :param port: the device's word, None if nobody has it
    """
    if port is not None and not ~_word(port, "ntintmsk") & CAUSES:
        return ()  # its driver wants none
    found = list(_of_kernel(device, irq))
    if port is not None:
        message = irq.message if irq else None
        found += _of_msi(port, message) if device.msi else _of_intx(port)
    return tuple(found)


def counts(irq: Irq | None, port: NtPort | None) -> str:
    """What both have counted, as a clause; empty if nobody has."""
    words = [] if port is None else [f"the device has sent {_word(port, 'msi')}"]
    words += [] if irq is None else [f"the guest counted {irq.count}"]
    return ", ".join(words)


def _of_kernel(device: PciDevice, irq: Irq | None) -> Iterator[str]:
    if irq is None:
        yield f"the kernel has no interrupt {device.irq}"
        return
    if not irq.handled:
        yield "no handler is registered"
    if irq.depth:
        yield f"the kernel has disabled it (depth {irq.depth})"
    elif irq.masked:
        yield "the kernel has masked it"


def _of_msi(port: NtPort, expected: MsiMessage | None) -> Iterator[str]:
    """The kernel has set up MSI."""
    control = _word(port, "msi_ctl")
    there = MsiMessage(_word(port, "msi_addr"), _word(port, "msi_data"))
    if control and not control & MSI_ENABLE:
        yield f"MSI is disabled (MSI control {control:#06x})" + _set(expected)
        return
    if control and expected and there != expected:
        yield f"the device sends it to {there}" + _set(expected)
    if not port.bus_master:
        yield f"bus mastering is off (PCI command {port.pcicmd:#06x})"


def _of_intx(port: NtPort) -> Iterator[str]:
    """The kernel waits for INTx."""
    if _word(port, "msi_ctl") & MSI_ENABLE:
        there = MsiMessage(_word(port, "msi_addr"), _word(port, "msi_data"))
        yield f"the device sends MSI to {there}, the kernel waits for INTx"
    elif port.pcicmd & INTX_DISABLE:
        yield f"INTx is disabled (PCI command {port.pcicmd:#06x})"


def _set(message: MsiMessage | None) -> str:
    return f", the kernel set {message}" if message else ""


def _word(port: NtPort, name: str) -> int:
    """A word of its block; 0 where the layout has none such."""
    return int(port.block.get(name, 0))  # type: ignore[call-overload, no-any-return]
