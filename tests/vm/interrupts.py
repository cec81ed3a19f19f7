# SPDX-License-Identifier: MIT
"""The interrupt of a guest's NTB: as the guest counts it, and by which its device sends it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.vm.support import Lab

COMMAND = 0x04
"""Of PCI configuration space; bit 10 disables INTx."""

MSI_CAP = 0xD0
MSI_CONTROL, MSI_ADDRESS, MSI_DATA = MSI_CAP + 2, MSI_CAP + 4, MSI_CAP + 12


class Interrupt(NamedTuple):
    """A line of /proc/interrupts: its number, and the sum over all CPUs."""

    number: int
    count: int


def counted(lab: Lab, guest: int) -> Interrupt:
    """That of the NTB."""
    text = lab.sh(guest, "grep -i -e idt -e ntb /proc/interrupts")
    line = re.match(r"\s*(\d+):((?:\s+\d+)+)", text)
    assert line, text
    return Interrupt(int(line[1]), sum(map(int, line[2].split())))


def config(lab: Lab, guest: int, offset: int, size: int) -> int:
    """Bytes of the NTB's configuration space as a number."""
    text = lab.sh(guest, f"od -An -v -tu1 -j {offset} -N {size} {_file(lab, guest)}")
    return int.from_bytes(bytes(map(int, text.split())), "little")


def set_config(lab: Lab, guest: int, offset: int, value: int, size: int = 2) -> None:
    """Change it behind the kernel's back, as setpci does."""
    octal = "".join(f"\\{byte:03o}" for byte in value.to_bytes(size, "little"))
    lab.sh(
        guest,
        f"printf '{octal}' | dd of={_file(lab, guest)} bs={size} seek={offset // size} "
        "conv=notrunc 2>/dev/null",
    )


def obstacle(lab: Lab, guest: int) -> str:
    """What is told to keep it from arriving, empty if nothing is."""
    verdicts = lab.json("info", f"qemu{guest}")["verdicts"]
    told = [verdict for verdict in verdicts if "its NTB" in verdict["text"]]
    assert all(verdict["severity"] == "wrong" for verdict in told), told
    return "\n".join(verdict["text"] for verdict in told)


def _file(lab: Lab, guest: int) -> str:
    (view,) = lab.json_lines("ntb", f"qemu{guest}")
    return f"/sys/bus/pci/devices/{view['driver']['slot']}/config"
