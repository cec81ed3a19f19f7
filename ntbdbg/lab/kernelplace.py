# SPDX-License-Identifier: MIT
"""Kernel addresses: from a symbol or a VA to a place in the guest's virtual memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import UsageError
from ntbdbg.kernel.mmu.virtual import VirtualMemory
from ntbdbg.lab.place import Place
from ntbdbg.memory.base import ADDRESS_LIMIT

if TYPE_CHECKING:
    from ntbdbg.lab.address import AddressExpr
    from ntbdbg.lab.place import GuestLike


def kernel_place(guest: GuestLike, expr: AddressExpr) -> Place:
    """Where a VA or symbol is; `size` is what the symbol has from there on.

    :raises KernelError: no kernel, no such symbol, CPU or member
    :raises UsageError: the offset leads out of 64 bits
    """
    kernel = guest.kernel
    memory = VirtualMemory(kernel.tables)  # the user says how much of it is read, not the guest
    if isinstance(expr.base, int):
        return Place(guest, expr.base + expr.offset, memory)
    assert isinstance(expr.base, str)
    found = kernel.lookup(expr.base)
    if found.others:
        guest.lab.note(
            f"{guest.name}: {len(found.others) + 1} symbols are called {found.symbol.name}; taken: "
            f"the one at {found.symbol.address:#x} ('ntbdbg sym' lists them)"
        )
    address = found.address + expr.offset
    if not 0 <= address < ADDRESS_LIMIT:
        raise UsageError(f"{expr.text}: {expr.offset:+#x} leads out of 64 bits")
    rest = found.size - expr.offset if 0 <= expr.offset < found.size else None
    return Place(guest, address, memory, size=rest, symbol=str(found.path))
