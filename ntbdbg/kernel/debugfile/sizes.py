# SPDX-License-Identifier: MIT
"""Where a member lies in its structure, and how much of it is one."""

from __future__ import annotations

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.layout import size_of
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.btf.records import Member


def known_size(btf: Btf, number: int) -> int:
    """Bytes of a type, 0 if it has none or makes no sense."""
    try:
        return size_of(btf, number)
    except KernelError:
        return 0


def member_bits(btf: Btf, member: Member) -> tuple[int, int | None]:
    """Bit where it begins, and how many it has if it is a bit field.

    Before BTF had them in the member (kind_flag, Linux 4.20), a bit field's type was an integer of
    fewer bits than its bytes have.
    """
    try:
        if member.bit_size is None and btf.kind(member.type) is Kind.INT:
            said, size = btf.integer(member.type), btf.entry(member.type).value
            if said.bits < 8 * size:
                return member.bit_offset + said.bit_offset, said.bits
    except KernelError:
        pass
    return member.bit_offset, member.bit_size
