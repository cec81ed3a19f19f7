# SPDX-License-Identifier: MIT
"""Shapes of drgn's types, whether they come from BTF or DWARF."""

from __future__ import annotations

import drgn
from drgn import Type, TypeKind

from ntbdbg.kernel.values.shape import Array, Compound, Scalar, Shape, Slot

_COMPOUND = {TypeKind.STRUCT: "struct", TypeKind.UNION: "union", TypeKind.CLASS: "struct"}
_POINTER_SIZE = 8


def shape_of(kind: Type) -> Shape:
    """The shape of a drgn type; its members and pointees are made when they are asked for."""
    name = kind.type_name()
    bare = kind
    while bare.kind is TypeKind.TYPEDEF:
        bare = bare.type
    if bare.kind in _COMPOUND and bare.is_complete():
        return Compound(name, bare.size, _COMPOUND[bare.kind], lambda: _slots(bare))
    if bare.kind is TypeKind.ARRAY:
        element = shape_of(bare.type)
        length = bare.length or 0
        return Array(name, element.size * length, element, length, bare.length is None)
    if bare.kind is TypeKind.POINTER:
        return Scalar(name, bare.size, "pointer", pointee=lambda: shape_of(bare.type))
    if bare.kind is TypeKind.INT:
        is_char = bare.name == "char"
        return Scalar(name, bare.size, "char" if is_char else "int", bare.is_signed)
    if bare.kind is TypeKind.BOOL:
        return Scalar(name, bare.size, "bool")
    if bare.kind is TypeKind.FLOAT:
        return Scalar(name, bare.size, "float")
    if bare.kind is TypeKind.ENUM and bare.is_complete():
        names: dict[int, str] = {}
        for label, value in bare.enumerators:
            names.setdefault(value, label)
        return Scalar(name, bare.type.size, "enum", bare.type.is_signed, names)
    return Shape(name, 0)


def slot_of(value: drgn.Object) -> Slot:
    """What lies at the address of an object; of a bit field, which bits."""
    return Slot("", shape_of(value.type_), 0, value.bit_offset_ or 0, value.bit_field_size_)


def _slots(kind: Type) -> list[Slot]:
    return [_slot(member) for member in kind.members]


def _slot(member: drgn.TypeMember) -> Slot:
    offset, bits = divmod(member.bit_offset, 8)
    return Slot(member.name or "", shape_of(member.type), offset, bits, member.bit_field_size)
