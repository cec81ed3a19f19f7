# SPDX-License-Identifier: MIT
"""Patches of code in emulated guests: QEMU's emulator (TCG) translates code once and keeps that.

It watches what the guest itself writes, not what others write to its RAM file, so code that has
run goes on as it was (accel/tcg/translate-all.c, ``tb_invalidate_phys_range``).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError
from ntbdbg.memory.segments import AddressRange

if TYPE_CHECKING:
    from ntbdbg.kernel.mmu.paging import Walk
    from ntbdbg.lab.place import GuestLike, Place

EMULATED = "tcg"

CODE = AddressRange(0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_FF00_0000)
"""Where x86-64's kernel image and its modules are (``Documentation/arch/x86/x86_64/mm.rst``)."""

MOST_TABLES = 1 << 10
"""As many as map these 2 GiB by pages; hostile ones lead to themselves."""


def note_translated(place: Place) -> None:
    """Tell if what is to be changed at `place` may have been translated already."""
    guest = place.guest
    if guest.record is None or guest.record.accelerator != EMULATED or not guest.is_live:
        return
    with contextlib.suppress(NtbdbgError):
        virtual = place.address if place.is_virtual else _code_at(guest, place.address)
        if virtual is not None and _is_code(guest.kernel.tables.walk(virtual)):
            guest.lab.note(
                f"{guest.name}: {virtual:#x} is executable, and this guest is emulated (TCG): what "
                "has run there was translated, and goes on as it was; only code that has not run "
                "yet is changed"
            )


def _code_at(guest: GuestLike, address: int) -> int | None:
    """The VA by which the kernel can run what lies at a GPA; None if there is none.

    By page tables alone: symbols and modules would take longer than the patch.
    """
    tables = guest.kernel.tables
    for run in tables.mapped(CODE.start, CODE.size, most_tables=MOST_TABLES):
        if run.address <= address < run.address + run.size:
            virtual = run.virtual + address - run.address
            if _is_code(tables.walk(virtual)):
                return virtual
    return None


def _is_code(walk: Walk) -> bool:
    """Executable and read-only, as Linux maps code; what is writable as well is all kinds of data
    in a kernel that does not tell them apart."""
    return walk.executable and not walk.writable
