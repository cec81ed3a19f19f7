# SPDX-License-Identifier: MIT
"""One ``struct page`` (``include/linux/mm_types.h``), taken apart by what VMCOREINFO says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.kernel.btf.reader import Btf

_TABLE_BITS = {1 << 7: 1 << 9, 1 << 30: 1 << 28}
"""The bit of ``PG_table`` by that of ``PG_buddy``: until 6.10, and in 6.11."""


class StructPage(NamedTuple):
    """A copy of a ``struct page``.

    :ivar raw: its bytes
    """

    info: Vmcoreinfo
    raw: bytes

    def number(self, member: str, size: int) -> int | None:
        """A member of `size` bytes, None if this kernel does not say where it is."""
        offset = self.info.offset(f"page.{member}")
        if offset is None or not 0 <= offset <= len(self.raw) - size:
            return None
        return int.from_bytes(self.raw[offset : offset + size], "little")

    def flag(self, bit: int | None) -> bool:
        """Whether a bit of ``flags`` is set; False for an unknown one."""
        flags = self.number("flags", 8)
        return flags is not None and bit is not None and 0 <= bit < 64 and bool(flags >> bit & 1)

    def is_a(self, kind: int | None) -> bool:
        """Whether ``page_type`` (which lies in ``_mapcount``) says so; False for None."""
        value = self.number("_mapcount", 4)
        if kind is None or value is None:
            return False
        # Since 6.12 the top byte alone is the type.
        return value == kind if kind & 0xFFFFFF else value >> 24 == kind >> 24


class PageTypes(NamedTuple):
    """Values of ``page_type``, 32 bits; None where this kernel has none or does not tell."""

    buddy: int | None
    offline: int | None
    slab: int | None
    table: int | None

    @classmethod
    def of(cls, info: Vmcoreinfo, btf: Btf | None) -> PageTypes:
        """Those of one kernel."""
        names = ("BUDDY", "OFFLINE", "SLAB")
        buddy, offline, slab = (_unsigned(info.number(f"PAGE_{n}_MAPCOUNT_VALUE")) for n in names)
        return cls(buddy, offline, slab, _table(buddy, btf))


def _table(buddy: int | None, btf: Btf | None) -> int | None:
    """The type of page tables, which VMCOREINFO does not tell."""
    found = btf.enumerator("PGTY_table") if btf else None
    if found:
        return _unsigned(found[1] << 24)
    bit = None if buddy is None else _TABLE_BITS.get(~buddy & 0xFFFF_FFFF)
    return _unsigned(~bit) if bit else None


def _unsigned(value: int | None) -> int | None:
    return None if value is None else value & 0xFFFF_FFFF
