# SPDX-License-Identifier: MIT
"""Patches of code in emulated guests: QEMU's emulator (TCG) translates code once and keeps that.

It watches what the guest itself writes, not what others write to its RAM file, so code that has
run goes on as it was (accel/tcg/translate-all.c, ``tb_invalidate_phys_range``).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError

if TYPE_CHECKING:
    from ntbdbg.kernel.mmu.paging import Walk
    from ntbdbg.lab.place import GuestLike, Place

EMULATED = "tcg"

REACH = 2 << 30
"""Bytes in which a kernel has its image and its modules, as they call each other directly."""

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
    tables, arch = guest.kernel.tables, guest.kernel.arch
    start = min(arch.image[0], arch.modules)
    for run in tables.mapped(start, REACH, most_tables=MOST_TABLES):
        if run.address <= address < run.address + run.size:
            virtual = run.virtual + address - run.address
            if _is_code(tables.walk(virtual)):
                return virtual
    return None


def _is_code(walk: Walk) -> bool:
    """Executable and read-only, as Linux maps code; what is writable as well is all kinds of data
    in a kernel that does not tell them apart."""
    return walk.executable and not walk.writable
