# SPDX-License-Identifier: MIT
"""BTF's types as DWARF's entries: one for each type, found by its number."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from ntbdbg.kernel.btf.format import COMPOUND
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.btf.records import Entry, Member
from ntbdbg.kernel.btf.table import ENUMS
from ntbdbg.kernel.debugfile.circles import bad_links
from ntbdbg.kernel.debugfile.ctype import CType
from ntbdbg.kernel.debugfile.dies import At, Dies, Form, Shape, Tag, padded_sleb
from ntbdbg.kernel.debugfile.sizes import known_size, member_bits

WIDEST = 16
"""Bytes of the largest number."""

MOST_BITS = 1 << 32
"""Of a structure; what lies behind has no place in DWARF's numbers."""

BOOL, FLOAT, SIGNED, SIGNED_CHAR, UNSIGNED, UNSIGNED_CHAR = 2, 4, 5, 6, 7, 8
"""DW_ATE_*."""

NAME, TYPE = {At.NAME: Form.STRP}, {At.TYPE: Form.REF_ADDR}
SIZE = {At.BYTE_SIZE: Form.DATA4}
FLAGGED = {At.PROTOTYPED: Form.FLAG_PRESENT}

_BASE = Shape(Tag.BASE, {**NAME, At.BYTE_SIZE: Form.DATA1, At.ENCODING: Form.DATA1})
_POINTER = Shape(Tag.POINTER, {At.BYTE_SIZE: Form.DATA1, **TYPE})
_ARRAY = Shape(Tag.ARRAY, TYPE, children=True)
_COUNTED = Shape(Tag.SUBRANGE, {At.COUNT: Form.DATA4})
_FLEXIBLE = Shape(Tag.SUBRANGE, {})
_TYPEDEF = Shape(Tag.TYPEDEF, {**NAME, **TYPE})
_QUALIFIED = {
    Kind.CONST: Shape(Tag.CONST, TYPE),
    Kind.VOLATILE: Shape(Tag.VOLATILE, TYPE),
    Kind.RESTRICT: Shape(Tag.RESTRICT, TYPE),
}
_TAGS = {Kind.STRUCT: Tag.STRUCTURE, Kind.UNION: Tag.UNION}
_NAMED = {kind: Shape(tag, {**NAME, **SIZE}, children=True) for kind, tag in _TAGS.items()}
_UNNAMED = {kind: Shape(tag, SIZE, children=True) for kind, tag in _TAGS.items()}
_DECLARED = {
    kind: Shape(tag, {**NAME, At.DECLARATION: Form.FLAG_PRESENT}) for kind, tag in _TAGS.items()
}
_PLACE = {At.MEMBER_LOCATION: Form.DATA4}
_MEMBER = Shape(Tag.MEMBER, {**NAME, **_PLACE, **TYPE})
_UNNAMED_MEMBER = Shape(Tag.MEMBER, {**_PLACE, **TYPE})
_BITS = {At.DATA_BIT_OFFSET: Form.DATA4, At.BIT_SIZE: Form.DATA1}
_FIELD = Shape(Tag.MEMBER, {**NAME, **_BITS, **TYPE})
_ENUM = Shape(Tag.ENUMERATION, {**NAME, **SIZE}, children=True)
_UNNAMED_ENUM = Shape(Tag.ENUMERATION, SIZE, children=True)
_VALUE = Shape(Tag.ENUMERATOR, {**NAME, At.CONST_VALUE: Form.DATA8})
_NEGATIVE = Shape(Tag.ENUMERATOR, {**NAME, At.CONST_VALUE: Form.SDATA})
_PROTOTYPE = Shape(Tag.SUBROUTINE_TYPE, {**FLAGGED, **TYPE}, children=True)
_PARAMETER = Shape(Tag.PARAMETER, TYPE)
REST = Shape(Tag.UNSPECIFIED_PARAMETERS, {})


class DwarfTypes:
    """Writes the types of `btf` into `dies`, and knows where they are.

    :param base: of vmlinux, for a module
    :ivar offsets: where each type is, by its number; 0 for what has no entry
    :ivar dropped: how many members and links made no sense, and are not in it
    """

    def __init__(self, dies: Dies, btf: Btf, base: DwarfTypes | None = None) -> None:
        self.btf, self._dies = btf, dies
        self.offsets: array[int] = array("Q", base.offsets if base else [0])
        self.offsets.extend([0] * (len(btf) - btf.first_id))
        self._bad = bad_links(btf)
        tags = btf.ids(Kind.TYPE_TAG)
        self._tags: dict[int, int] = dict(base._tags) if base else {}
        self._tags |= {number: btf.references(number)[0] for number in tags}
        self.dropped = 0
        self._made: dict[CType, int] = {}
        self._writers: dict[Kind, Callable[[int, Entry], int]] = {
            Kind.INT: self._integer,
            Kind.FLOAT: self._float,
            Kind.PTR: self._pointer,
            Kind.ARRAY: self._array,
            Kind.TYPEDEF: self._typedef,
            Kind.FWD: self._forward,
            Kind.FUNC_PROTO: self._prototype,
            **dict.fromkeys(COMPOUND, self._compound),
            **dict.fromkeys(ENUMS, self._enum),
            **dict.fromkeys(_QUALIFIED, self._qualified),
        }

    def write(self) -> None:
        """Every type of its own."""
        for number in self.btf.ids(*self._writers):
            entry = self.btf.entry(number)
            self.offsets[number] = self._writers[entry.kind](number, entry)

    def link(self, number: int, target: int) -> int:
        """What an entry of type `number` may refer to for `target`; 0 if it may not."""
        if (number, target) in self._bad:
            self.dropped += 1
            return 0
        while target in self._tags:  # which lead in no circle: those links are bad
            number, target = target, self._tags[target]
            if (number, target) in self._bad:
                return 0
        return target

    def make(self, kind: CType) -> int:
        """Number of a type that is not in BTF itself: of an array of pointers, say."""
        if not (kind.pointers or kind.lengths):
            return self.link(0, kind.number)
        if kind not in self._made:
            if kind.lengths:
                inner = self.make(kind._replace(lengths=kind.lengths[1:]))
                place = self._array_of(inner, max(kind.lengths[0], 0))
            else:
                inner = self.make(kind._replace(pointers=kind.pointers - 1))
                place = self._dies.add(_POINTER, 8, type=inner)
            self.offsets.append(place)
            self._made[kind] = len(self.offsets) - 1
        return self._made[kind]

    # -- kinds -----------------------------------------------------------------------------

    def _integer(self, number: int, entry: Entry) -> int:
        said, size = self.btf.integer(number), min(entry.value, WIDEST)
        encoding = SIGNED if said.is_signed else UNSIGNED
        if size == 1:
            encoding = SIGNED_CHAR if said.is_signed else UNSIGNED_CHAR
        if said.is_bool:
            encoding = BOOL
        return self._dies.add(_BASE, self._dies.name(entry.name), size, encoding)

    def _float(self, number: int, entry: Entry) -> int:
        name, size = self._dies.name(entry.name), min(entry.value, WIDEST)
        return self._dies.add(_BASE, name, size, FLOAT)

    def _pointer(self, number: int, entry: Entry) -> int:
        return self._dies.add(_POINTER, 8, type=self.link(number, entry.value))

    def _qualified(self, number: int, entry: Entry) -> int:
        return self._dies.add(_QUALIFIED[entry.kind], type=self.link(number, entry.value))

    def _typedef(self, number: int, entry: Entry) -> int:
        name = self._dies.name(entry.name)
        return self._dies.add(_TYPEDEF, name, type=self.link(number, entry.value))

    def _forward(self, number: int, entry: Entry) -> int:
        shape = _DECLARED[Kind.UNION if entry.flag else Kind.STRUCT]
        return self._dies.add(shape, self._dies.name(entry.name))

    def _array(self, number: int, entry: Entry) -> int:
        array = self.btf.array(number)
        return self._array_of(self.link(number, array.element), array.length)

    def _array_of(self, element: int, count: int) -> int:
        place = self._dies.add(_ARRAY, type=element)
        self._dies.add(_COUNTED, count) if count else self._dies.add(_FLEXIBLE)
        self._dies.end()
        return place

    def _enum(self, number: int, entry: Entry) -> int:
        name, size = self._dies.name(entry.name), min(entry.value, WIDEST)
        shape = (_ENUM, name, size) if entry.name else (_UNNAMED_ENUM, size)
        place = self._dies.add(*shape)
        for item in self.btf.enumerators(number):
            label = self._dies.name(item.name)
            if item.value < 0:
                self._dies.add(_NEGATIVE, label, padded_sleb(item.value))
            else:
                self._dies.add(_VALUE, label, item.value)
        self._dies.end()
        return place

    def _prototype(self, number: int, entry: Entry) -> int:
        place = self._dies.add(_PROTOTYPE, type=self.link(number, entry.value))
        for parameter in self.btf.parameters(number):
            if parameter.type or parameter.name:
                self._dies.add(_PARAMETER, type=self.link(number, parameter.type))
            else:
                self._dies.add(REST)
        self._dies.end()
        return place

    # -- structures ------------------------------------------------------------------------

    def _compound(self, number: int, entry: Entry) -> int:
        if entry.name:
            place = self._dies.add(_NAMED[entry.kind], self._dies.name(entry.name), entry.value)
        else:
            place = self._dies.add(_UNNAMED[entry.kind], entry.value)
        for member in self.btf.members(number):
            self._member(number, 8 * entry.value, member)
        self._dies.end()
        return place

    def _member(self, number: int, room: int, member: Member) -> None:
        """Nothing if it reaches beyond the `room` bits of its structure."""
        kind = self.link(number, member.type)
        if not kind:
            self.dropped += not member.type  # others are counted by `link`
            return
        start, bits = member_bits(self.btf, member)
        if start + (8 * known_size(self.btf, kind) if bits is None else bits) > min(
            room, MOST_BITS
        ):
            self.dropped += 1
        elif bits is not None:
            self._dies.add(_FIELD, self._dies.name(member.name), start, bits, type=kind)
        elif member.name:
            self._dies.add(_MEMBER, self._dies.name(member.name), start // 8, type=kind)
        else:
            self._dies.add(_UNNAMED_MEMBER, start // 8, type=kind)
