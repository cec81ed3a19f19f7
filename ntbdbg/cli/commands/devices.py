# SPDX-License-Identifier: MIT
"""ntbdbg devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.listed import expect_rows
from ntbdbg.cli.options import lab_command, target_argument

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg devices qemu1", "PCI devices, their drivers and BARs"),
    ("ntbdbg devices qemu1 --json", "the same for a program"),
]


@lab_command("devices", examples=EXAMPLES, freezes=True)
@target_argument()
def command(app: AppContext, target: str) -> None:
    """Show the PCI devices of TARGET as its kernel knows them: ids, driver, BARs.

    What stands here is what the kernel believes, as in sysfs; 'ntbdbg regs' and 'ntbdbg
    windows' show what the NTB device itself says.
    """
    from ntbdbg.kernel.tasks.pcidevices import pci_devices
    from ntbdbg.render.devices import DeviceTable, device_facts

    guest = app.guest(target)
    with app.stillness():
        found = pci_devices(guest.kernel)
    expect_rows(app, guest, found, "pci_root_buses", "PCI device")
    if app.json:
        facts = [device_facts(device) for device in found]
        app.emit("devices", {"guest": guest.name, "devices": facts, "partial": found.partial})
        return
    app.console().print(DeviceTable(found))
    app.note_partial(guest, found.partial)
