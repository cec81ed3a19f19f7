# SPDX-License-Identifier: MIT
"""drgn's types out of the numbered types of one BTF.

Members and parameters are made when drgn looks at them, which also ends the circles that
every kernel's types are full of. What drgn's C code cannot bear (a structure that contains
itself, an integer of no size) is refused before it gets there.
"""

from __future__ import annotations

from collections.abc import Callable

import drgn
from drgn import Program, Qualifiers, Type, TypeEnumerator, TypeMember, TypeParameter

from ntbdbg.kernel.btf.check import bit_field, check_bit_field, check_contents, number_size
from ntbdbg.kernel.btf.reader import MAX_DEPTH, Btf, Kind
from ntbdbg.kernel.btf.records import Entry, Member, Parameter

Forward = Callable[[str, bool], Type | None]
"""Finds the struct (or, if True, the union) of that name that is complete."""

_QUALIFIERS = {
    Kind.CONST: Qualifiers.CONST,
    Kind.VOLATILE: Qualifiers.VOLATILE,
    Kind.RESTRICT: Qualifiers.RESTRICT,
}
_ENUM_INTS = {1: "char", 2: "short", 4: "int", 8: "long"}


class TypeMaker:
    """Makes each type once; those of the base are the base's.

    :param base: maker of the base of `btf`, if that has one
    :param forward: asked for structures that are only declared
    """

    def __init__(
        self, prog: Program, btf: Btf, forward: Forward, base: TypeMaker | None = None
    ) -> None:
        self.btf = btf
        self._prog, self._forward, self._base = prog, forward, base
        self._made: dict[int, Type] = {}
        self._sound: dict[int, int] = {}
        self._makers: dict[Kind, Callable[[int, Entry, int], Type]] = {
            Kind.VOID: lambda number, entry, depth: prog.void_type(),
            Kind.INT: self._int,
            Kind.FLOAT: self._float,
            Kind.PTR: self._pointer,
            Kind.ARRAY: self._array,
            Kind.STRUCT: self._compound,
            Kind.UNION: self._compound,
            Kind.ENUM: self._enum,
            Kind.ENUM64: self._enum,
            Kind.FWD: self._declared,
            Kind.TYPEDEF: self._typedef,
            Kind.TYPE_TAG: lambda number, entry, depth: self.type(entry.value, depth),
            Kind.FUNC: lambda number, entry, depth: self.type(entry.value, depth),
            Kind.VAR: lambda number, entry, depth: self.type(entry.value, depth),
            Kind.FUNC_PROTO: self._function,
            **dict.fromkeys(_QUALIFIERS, self._qualified),
        }

    def type(self, number: int, depth: int = 0) -> Type:
        """The drgn type of type `number`; of a FUNC or VAR, its type.

        :raises KernelError: it is no type, or makes no sense
        """
        if self._base is not None and number < self.btf.first_id:
            return self._base.type(number, depth)
        known = self._made.get(number)
        if known is not None:
            return known
        if depth > MAX_DEPTH:
            raise self.btf.error(number, f"is reached through more than {MAX_DEPTH} others")
        entry = self.btf.entry(number)
        maker = self._makers.get(entry.kind)
        if maker is None:
            raise self.btf.error(number, f"is {self.btf.kind_words(number)}, no type in C's sense")
        made = self._made[number] = maker(number, entry, depth + 1)
        return made

    # -- numbers ---------------------------------------------------------------------------

    def _int(self, number: int, entry: Entry, depth: int) -> Type:
        size = number_size(self.btf, number, entry)
        coding = self.btf.integer(number)
        if coding.is_bool:
            return self._prog.bool_type(entry.name, size)
        return self._prog.int_type(entry.name, size, coding.is_signed)

    def _float(self, number: int, entry: Entry, depth: int) -> Type:
        return self._prog.float_type(entry.name, number_size(self.btf, number, entry))

    def _enum(self, number: int, entry: Entry, depth: int) -> Type:
        size = number_size(self.btf, number, entry)
        if size not in _ENUM_INTS:
            raise self.btf.error(number, f"is an enum of {size} bytes")
        name = _ENUM_INTS[size] if entry.flag else f"unsigned {_ENUM_INTS[size]}"
        compatible = self._prog.int_type(name, size, entry.flag)
        values = [TypeEnumerator(*item) for item in self.btf.enumerators(number)]
        return self._prog.enum_type(entry.name or None, compatible, values)

    # -- what leads to other types ---------------------------------------------------------

    def _pointer(self, number: int, entry: Entry, depth: int) -> Type:
        return self._prog.pointer_type(self.type(entry.value, depth))

    def _typedef(self, number: int, entry: Entry, depth: int) -> Type:
        return self._prog.typedef_type(entry.name, self.type(entry.value, depth))

    def _qualified(self, number: int, entry: Entry, depth: int) -> Type:
        bare = self.type(entry.value, depth)
        return bare.qualified(bare.qualifiers | _QUALIFIERS[entry.kind])

    def _array(self, number: int, entry: Entry, depth: int) -> Type:
        array = self.btf.array(number)
        return self._prog.array_type(self.type(array.element, depth), array.length)

    def _function(self, number: int, entry: Entry, depth: int) -> Type:
        listed = self.btf.parameters(number)
        is_variadic = bool(listed) and listed[-1] == Parameter("", 0)
        parameters = [
            TypeParameter(lambda kind=kind: self.type(kind), name or None)
            for name, kind in listed[: len(listed) - is_variadic]
        ]
        returned = self.type(entry.value, depth)
        return self._prog.function_type(returned, parameters, is_variadic)

    # -- structures ------------------------------------------------------------------------

    def _declared(self, number: int, entry: Entry, depth: int) -> Type:
        complete = self._forward(entry.name, entry.flag)
        if complete is not None:
            return complete
        make = self._prog.union_type if entry.flag else self._prog.struct_type
        return make(entry.name or None)

    def _compound(self, number: int, entry: Entry, depth: int) -> Type:
        check_contents(self.btf, number, self._sound)
        listed = self.btf.members(number)
        members = [self._member(member) for member in listed]
        if listed and entry.kind is Kind.STRUCT:
            members[-1] = self._last_member(listed[-1])
        make = self._prog.struct_type if entry.kind is Kind.STRUCT else self._prog.union_type
        return make(entry.name or None, entry.value, members)

    def _member(self, member: Member) -> TypeMember:
        bits, offset = bit_field(self.btf, member)
        name = member.name or None
        if bits is None:
            return TypeMember(lambda: self.type(member.type), name, offset)
        return TypeMember(lambda: self._bits(member.type, bits), name, offset)

    def _bits(self, number: int, bits: int) -> drgn.Object:
        check_bit_field(self.btf, number, bits)
        return drgn.Object(self._prog, self.type(number), bit_field_size=bits)

    def _last_member(self, member: Member) -> TypeMember:
        """BTF has ``x[]`` as an array of no elements; at the end of a structure it is meant."""
        if self.btf.kind(member.type) is not Kind.ARRAY:
            return self._member(member)
        array = self.btf.array(member.type)
        if array.length:
            return self._member(member)
        return TypeMember(
            lambda: self._prog.array_type(self.type(array.element)),
            member.name or None,
            member.bit_offset,
        )
