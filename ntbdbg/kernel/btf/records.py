# SPDX-License-Identifier: MIT
"""What the reader of BTF hands out: plain records, no drgn in them."""

from __future__ import annotations

from typing import NamedTuple

from ntbdbg.kernel.btf.format import SIZED, Kind


class Entry(NamedTuple):
    """What every type has.

    :ivar name: empty if anonymous
    :ivar length: number of members, enumerators, parameters or variables; linkage of FUNC
    :ivar flag: kind_flag: bit fields in members, signed enumerators, FWD of a union
    :ivar value: size in bytes or number of a type, see `size` and `target`
    """

    kind: Kind
    name: str
    length: int
    flag: bool
    value: int

    @property
    def size(self) -> int | None:
        """Bytes, for kinds that have a size of their own."""
        return self.value if self.kind in SIZED else None

    @property
    def target(self) -> int | None:
        """The type this one leads to: pointee, what a typedef means, a function's prototype."""
        has_none = self.kind in SIZED or self.kind in (Kind.VOID, Kind.ARRAY, Kind.FWD)
        return None if has_none else self.value


class Member(NamedTuple):
    """Of a structure or union.

    :ivar name: empty for an anonymous structure or union
    :ivar bit_offset: from the start of the structure
    :ivar bit_size: of a bit field, None if it is none
    """

    name: str
    type: int
    bit_offset: int
    bit_size: int | None


class Integer(NamedTuple):
    """What INT says beyond its size.

    :ivar bits: used of it, from `bit_offset` on; fewer than its size in old bit fields
    """

    bits: int
    bit_offset: int
    is_signed: bool
    is_char: bool
    is_bool: bool


class Array(NamedTuple):
    """Of `length` elements: 0 for a flexible array too."""

    element: int
    index_type: int
    length: int


class Enumerator(NamedTuple):
    """A named value of an enumeration."""

    name: str
    value: int


class Parameter(NamedTuple):
    """Of a function; without name and type (0), the last one stands for ``...``."""

    name: str
    type: int


class SectionVariable(NamedTuple):
    """A VAR in its section.

    :ivar type: number of the VAR
    :ivar offset: bytes from the start of the section
    """

    type: int
    offset: int
    size: int
