# SPDX-License-Identifier: MIT
"""Interrupts of an NTB that cannot reach its driver, by the kernel's word and the device's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.errors import NtbdbgError
from ntbdbg.kernel.tasks.irqs import read_irq
from ntbdbg.kernel.tasks.pcidevices import pci_devices
from ntbdbg.ntb.interrupts import counts, is_port, obstacles

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Evidence, Scene
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.kernel.tasks.pcidevices import PciDevice
    from ntbdbg.lab.guest import Guest
    from ntbdbg.ntb.model import NtPort

DRIVERS = "ntb_hw_"
"""What the modules of drivers for NTBs are called."""

LOOKS = 3
"""A running guest changes between the look at its RAM and that at the page: what keeps an
interrupt away is there in each of these looks."""


class _Look(NamedTuple):
    """At one moment.

    :ivar device: the NT port among the guest's PCI devices, None if it has none
    :ivar why: what keeps its interrupt away, a clause each
    :ivar counts: what both sides have counted, as a clause
    """

    device: PciDevice | None
    why: tuple[str, ...] = ()
    counts: str = ""


def interrupts(scene: Scene) -> Iterator[Verdict]:
    """One verdict of each guest whose NTB's interrupt cannot arrive, or nobody knows."""
    for seen in scene.guests:
        state = seen.info.system_state if seen.info else None
        if seen.ran and state in (None, "running") and seen.guest and seen.kernel:
            yield from _of_guest(seen, seen.guest, seen.kernel)


def _of_guest(seen: Evidence, guest: Guest, kernel: Kernel) -> Iterator[Verdict]:
    try:
        found = _settled(guest, kernel)
    except NtbdbgError as error:
        if _is_loaded(seen):
            text = f"nobody can say whether its NTB's interrupt arrives: {error.message}"
            yield Verdict(Severity.UNKNOWN, seen.name, text)
        return
    device = found.device
    if device and found.why:
        why = "; ".join(filter(None, (*found.why, found.counts)))
        text = f"interrupt {device.irq} of its NTB cannot arrive: {why}"
        yield Verdict(Severity.WRONG, seen.name, text)
    elif device and not device.driver and _is_loaded(seen):
        text = f"no driver is bound to its NTB at {device.slot}, so nobody handles its interrupts"
        yield Verdict(Severity.NOTABLE, seen.name, text)


def _settled(guest: Guest, kernel: Kernel) -> _Look:
    found = _look(guest, kernel)
    for _ in range(LOOKS - 1):
        if not found.why:
            break
        now = _look(guest, kernel)
        found = now._replace(why=tuple(one for one in now.why if one in found.why))
    return found


def _look(guest: Guest, kernel: Kernel) -> _Look:
    device = next((one for one in pci_devices(kernel) if is_port(one)), None)
    if device is None or device.driver is None:
        return _Look(device)
    irq, port = read_irq(kernel, device.irq), _port(guest)
    return _Look(device, obstacles(device, irq, port), counts(irq, port))


def _port(guest: Guest) -> NtPort | None:
    """The device's word; None where no link is known, or no device is there."""
    if guest.lab.link is None or guest.record is None:
        return None
    port = guest.lab.page().link().port(guest.partition)
    return port if port.is_attached else None


def _is_loaded(seen: Evidence) -> bool:
    return any(module.name.startswith(DRIVERS) for module in seen.modules or ())
