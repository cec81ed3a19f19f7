# SPDX-License-Identifier: MIT
"""The bytes of BTF: header, kinds, and what follows the three words each type begins with.

Source: Linux Documentation/bpf/btf.rst and include/uapi/linux/btf.h, up to 7.1, which has a
section that tells how long types of each kind are, and more bits for kind and length. Before,
these bits were zero, so all are read in the new way.
"""

from __future__ import annotations

import struct
import sys
from array import array
from enum import IntEnum
from typing import Literal, NamedTuple

from ntbdbg.errors import KernelError

MAGIC = 0xEB9F
VERSION = 1
HEADER = 24
"""Bytes of the header that every version has."""

LAYOUT_FIELDS = 32
"""Bytes of a header that tells where the layout section is (``layout_off``, ``layout_len``)."""

MAX_SIZE = 128 << 20
"""Bytes; a kernel's BTF has 4 to 10 MiB."""

MAX_TYPES = 1 << 20
"""As BTF_MAX_TYPE, so that a hostile type section cannot take memory without limit."""

MAX_NAME = 4096
"""Bytes; the kernel's own limit is 512 (KSYM_NAME_LEN)."""

Order = Literal["little", "big"]

TYPE_WORDS = 3
"""Each type begins with: name, information (kind, flag, length), size or type."""


class Kind(IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19
    UNKNOWN = 128
    """One that this version does not know, but can step over."""


KINDS = 128
"""Numbers that a kind may have."""

_KNOWN = [Kind(number) if number <= Kind.ENUM64 else Kind.UNKNOWN for number in range(KINDS)]


def kind_number(information: int) -> int:
    """The kind in the second word of a type, known or not."""
    return information >> 24 & 0x7F


def kind_of(information: int) -> Kind:
    """The same as a `Kind`."""
    return _KNOWN[information >> 24 & 0x7F]


def length_of(information: int) -> int:
    """How many items a type has, as its second word says."""
    return information & 0xFFFFFF


WORDS = {Kind.INT: 1, Kind.ARRAY: 3, Kind.VAR: 1, Kind.DECL_TAG: 1}
"""Further words of a type, whatever its length."""

ITEM_WORDS = {
    Kind.STRUCT: 3,
    Kind.UNION: 3,
    Kind.ENUM: 2,
    Kind.FUNC_PROTO: 2,
    Kind.DATASEC: 3,
    Kind.ENUM64: 3,
}
"""Further words for each of a type's items: members, enumerators, parameters, variables."""

_LAYOUT = struct.Struct("BBxx")  # info_sz, elem_sz, and flags, of no use here

QUALIFIERS = frozenset({Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
COMPOUND = frozenset({Kind.STRUCT, Kind.UNION})
SIZED = frozenset({Kind.INT, Kind.FLOAT, Kind.ENUM, Kind.ENUM64, Kind.DATASEC, *COMPOUND})
"""Kinds whose third word is a size in bytes; of the others it is a type."""

NO_TARGET = frozenset({Kind.VOID, Kind.ARRAY, Kind.FWD, Kind.UNKNOWN})
"""Kinds whose third word says nothing, or nothing that is known."""

INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4


class Strings(NamedTuple):
    """The string section of one BTF: names, each ended by NUL.

    Where it lies in `data`, for a kernel's are megabytes that need no copy.
    """

    data: bytes
    start: int
    size: int

    def at(self, offset: int) -> bytes | None:
        """The name at `offset`, None if none ends there."""
        if not 0 <= offset < self.size:
            return None
        start, end = self.start + offset, self.start + self.size
        stop = self.data.find(b"\0", start, min(start + MAX_NAME, end))
        return None if stop < 0 else self.data[start:stop]

    def begins(self, offset: int) -> bool:
        """Whether a name begins at `offset`."""
        first = not offset or (offset < self.size and not self.data[self.start + offset - 1])
        return offset >= 0 and first

    def find(self, needle: bytes) -> int:
        """Offset of the first `needle`, negative if there is none."""
        return self.data.find(needle, self.start, self.start + self.size) - self.start


class KindLayout(NamedTuple):
    """How long types of one kind are: further words of each type, and of each of its items."""

    words: int
    item_words: int


class Sections(NamedTuple):
    """The sections of one BTF.

    :ivar types: whole 32-bit words, in this machine's byte order
    :ivar layouts: by number of the kind, as far as the BTF tells
    """

    types: memoryview
    strings: Strings
    layouts: dict[int, KindLayout]


def split(data: bytes, who: str, *, has_base: bool) -> Sections:
    """Header checked, sections cut out; either byte order is read.

    :param who: whose BTF it is, for messages: ``BTF of vmlinux``
    :param has_base: it continues another BTF, whose strings come first
    :raises KernelError: not BTF, of an unknown version, or a section reaches outside
    """
    if len(data) > MAX_SIZE:
        raise KernelError(f"{who}: {len(data)} bytes, more than {MAX_SIZE} are not plausible")
    order = _byte_order(data, who)
    version, header = data[2], int.from_bytes(data[4:8], order)
    if version != VERSION or not HEADER <= header <= len(data):
        raise KernelError(f"{who}: version {version} with a header of {header} bytes is unknown")
    fields = array("I", data[8:HEADER])
    if order != sys.byteorder:
        fields.byteswap()
    type_offset, type_size, string_offset, string_size = fields
    types = _section(data, header + type_offset, type_size, f"{who}: types")
    names = _section(data, header + string_offset, string_size, f"{who}: strings")
    if type_size % 4:
        raise KernelError(f"{who}: types: {type_size:#x} bytes are no whole number of words")
    if (names or not has_base) and (not names or names[-1] != 0 or not (has_base or names[0] == 0)):
        raise KernelError(f"{who}: strings do not begin and end with NUL")
    strings = Strings(data, header + string_offset, string_size)
    layouts = _layouts(data, header, order)
    return Sections(types if order == sys.byteorder else _swapped(types), strings, layouts)


def _layouts(data: bytes, header: int, order: Order) -> dict[int, KindLayout]:
    """The layout section, ``struct btf_layout`` for each kind; none if it is not there or cut."""
    if header < LAYOUT_FIELDS:
        return {}
    offset, size = (int.from_bytes(data[at : at + 4], order) for at in (HEADER, HEADER + 4))
    start = header + offset
    if start + size > len(data):
        return {}
    rows = _LAYOUT.iter_unpack(data[start : start + size // _LAYOUT.size * _LAYOUT.size])
    # What is no whole number of words cannot be stepped over.
    return {
        kind: KindLayout(info // 4, item // 4)
        for kind, (info, item) in enumerate(rows)
        if kind < KINDS and info % 4 == 0 and item % 4 == 0
    }


def _byte_order(data: bytes, who: str) -> Order:
    if len(data) >= HEADER and data[:2] == MAGIC.to_bytes(2, "little"):
        return "little"
    if len(data) >= HEADER and data[:2] == MAGIC.to_bytes(2, "big"):
        return "big"
    raise KernelError(f"{who}: {len(data)} bytes that do not begin as BTF does")


def _section(data: bytes, start: int, size: int, what: str) -> memoryview:
    if start + size > len(data):
        raise KernelError(f"{what}: [{start:#x}, {start + size:#x}) of {len(data):#x} bytes")
    return memoryview(data)[start : start + size]


def _swapped(types: memoryview) -> memoryview:
    words = array("I", types.tobytes())
    words.byteswap()
    return memoryview(words).cast("B")
