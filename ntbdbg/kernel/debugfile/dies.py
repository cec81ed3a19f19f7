# SPDX-License-Identifier: MIT
"""DWARF's tree of entries (DIEs) as bytes, in units whose entries refer to each other.

Source: DWARF version 4, section 7.5. An entry has at most one reference, its type, which may be
to one that comes later: references are put in when a unit is complete.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from enum import IntEnum

import numpy as np

from ntbdbg.kernel.debugfile.strings import Strings

VERSION, ADDRESS_SIZE = 4, 8
UNIT_HEADER = struct.Struct("<IHIB")


class Tag(IntEnum):
    """DW_TAG_*."""

    ARRAY = 0x01
    ENUMERATION = 0x04
    PARAMETER = 0x05
    MEMBER = 0x0D
    POINTER = 0x0F
    UNIT = 0x11
    STRUCTURE = 0x13
    SUBROUTINE_TYPE = 0x15
    TYPEDEF = 0x16
    UNION = 0x17
    UNSPECIFIED_PARAMETERS = 0x18
    SUBRANGE = 0x21
    BASE = 0x24
    CONST = 0x26
    ENUMERATOR = 0x28
    SUBPROGRAM = 0x2E
    VARIABLE = 0x34
    VOLATILE = 0x35
    RESTRICT = 0x37


class At(IntEnum):
    """DW_AT_*."""

    LOCATION = 0x02
    NAME = 0x03
    BYTE_SIZE = 0x0B
    BIT_SIZE = 0x0D
    LOW_PC = 0x11
    HIGH_PC = 0x12
    LANGUAGE = 0x13
    CONST_VALUE = 0x1C
    PRODUCER = 0x25
    PROTOTYPED = 0x27
    COUNT = 0x37
    MEMBER_LOCATION = 0x38
    DECLARATION = 0x3C
    ENCODING = 0x3E
    EXTERNAL = 0x3F
    TYPE = 0x49
    RANGES = 0x55
    DATA_BIT_OFFSET = 0x6B


class Form(IntEnum):
    """DW_FORM_*."""

    ADDR = 0x01
    DATA2 = 0x05
    DATA4 = 0x06
    DATA8 = 0x07
    DATA1 = 0x0B
    SDATA = 0x0D
    STRP = 0x0E
    REF_ADDR = 0x10
    SEC_OFFSET = 0x17
    EXPRLOC = 0x18
    FLAG_PRESENT = 0x19


_SIZES = {
    Form.ADDR: "Q",
    Form.DATA2: "H",
    Form.DATA4: "I",
    Form.DATA8: "Q",
    Form.DATA1: "B",
    Form.SDATA: "10s",
    Form.STRP: "I",
    Form.REF_ADDR: "I",
    Form.SEC_OFFSET: "I",
    Form.EXPRLOC: "10s",
    Form.FLAG_PRESENT: "",
}
"""Forms of any length have one here: numbers are padded, and the only expression is an address."""


class Shape:
    """What entries of one kind consist of; an entry without a type (void) lacks that attribute.

    :param attributes: in the order in which values are given; `At.TYPE` comes last
    """

    def __init__(self, tag: Tag, attributes: Mapping[At, Form], *, children: bool = False) -> None:
        self.tag, self.children = tag, children
        self.attributes = dict(attributes)
        self.packer = struct.Struct("<B" + "".join(_SIZES[form] for form in attributes.values()))
        self.bare: Shape | None = None
        if At.TYPE in attributes:
            rest: dict[At, Form] = {
                at: form for at, form in attributes.items() if at is not At.TYPE
            }
            self.bare = Shape(tag, rest, children=children)


class Dies:
    """``.debug_info`` and ``.debug_abbrev``.

    :ivar data: the entries of all units so far
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.strings = Strings()
        self._shapes: dict[int, Shape] = {}
        self._codes: dict[int, int] = {}
        self._places, self._targets = array("Q"), array("Q")
        self._start = 0

    def add(self, shape: Shape, *values: int | bytes, type: int = 0) -> int:  # noqa: A002
        """An entry; gives where it is.

        :param type: number of a type, 0 for void
        """
        place = len(self.data)
        if shape.bare is None:
            self.data += shape.packer.pack(self._code(shape), *values)
        elif not type:
            self.data += shape.bare.packer.pack(self._code(shape.bare), *values)
        else:
            self.data += shape.packer.pack(self._code(shape), *values, 0)
            self._places.append(len(self.data) - 4)
            self._targets.append(type)
        return place

    def end(self) -> None:
        """No further child."""
        self.data.append(0)

    def name(self, text: str) -> int:
        """A string for `Form.STRP`."""
        return self.strings.add(text)

    def _code(self, shape: Shape) -> int:
        code = self._codes.get(id(shape))
        if code is None:
            self._shapes[id(shape)] = shape
            code = self._codes[id(shape)] = len(self._codes) + 1
        return code

    # -- units -----------------------------------------------------------------------------

    def begin_unit(self) -> None:
        """What follows belongs together; its first entry is that of the unit."""
        self._start = len(self.data)
        self.data += UNIT_HEADER.pack(0, VERSION, 0, ADDRESS_SIZE)

    def end_unit(self, offsets: array[int]) -> None:
        """The unit is complete.

        :param offsets: where each type is, by its number
        """
        self.end()
        struct.pack_into("<I", self.data, self._start, len(self.data) - self._start - 4)
        places = np.frombuffer(self._places, np.uint64).astype(np.int64)
        targets = np.frombuffer(self._targets, np.uint64).astype(np.int64)
        values = np.frombuffer(offsets, np.uint64)[targets].astype("<u4")
        whole = np.frombuffer(self.data, np.uint8)
        for byte in range(4):
            whole[places + byte] = values.view(np.uint8)[byte::4]
        self._places, self._targets = array("Q"), array("Q")

    def abbreviations(self) -> bytes:
        """``.debug_abbrev``, the same for all units."""
        found = bytearray()
        for key, code in self._codes.items():
            shape = self._shapes[key]
            found += uleb(code) + uleb(shape.tag) + bytes([shape.children])
            for at, form in shape.attributes.items():
                found += uleb(at) + uleb(form)
            found += b"\0\0"
        return bytes(found + b"\0")


def uleb(value: int) -> bytes:
    """Unsigned LEB128."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def sleb(value: int) -> bytes:
    """Signed LEB128."""
    found = bytearray()
    while not -0x40 <= value < 0x40:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value & 0x7F])


def padded_sleb(value: int) -> bytes:
    """The same of a number of 64 bits, always in ten bytes, for `Form.SDATA`."""
    return bytes([value >> 7 * index & 0x7F | 0x80 for index in range(9)] + [value >> 63 & 0x7F])


def address_expression(address: int) -> bytes:
    """DW_OP_addr, with its length before it, for `Form.EXPRLOC`."""
    return struct.pack("<BBQ", 9, 0x03, address)
