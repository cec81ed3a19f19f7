# SPDX-License-Identifier: MIT
"""The end of the first MiB, where UEFI guests see a ROM that is in no RAM file.

SeaBIOS copies itself into the RAM there, which is then in the file; OVMF does not, so that its
guests read ROM where the file has zeros (QEMU, ``hw/i386/pc_sysfw.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    from ntbdbg.lab.place import GuestLike

ROM = AddressRange(0xC0000, 0x100000)


def unsure_rom(guest: GuestLike) -> AddressRange | None:
    """Where nobody knows whether zeros in a bare RAM file are what its guest sees; None if known.

    Whoever says by --segments what is RAM knows it.
    """
    if not guest.is_assumed:
        return None
    try:
        return None if any(guest.memory.read(ROM.start, ROM.size)) else ROM
    except NtbdbgError:
        return None


def rom_note(guest: GuestLike, address: int, size: int) -> str | None:
    """What to say where `[address, address + size)` is shown; None if it is beyond doubt."""
    if not AddressRange(address, address + size).overlap(ROM) or unsure_rom(guest) is None:
        return None
    return (
        f"{guest.name}: {ROM.start:#x}-{ROM.end - 1:#x} is all zeros in the file: unknown: ROM of "
        "a UEFI guest? Its ROM is in no RAM file"
    )
