# SPDX-License-Identifier: MIT
"""The types of a BTF in volatility3's form.

Structures, unions and enumerations go by name, and share one name space. The first type of a name
has it; further ones are ``name#17`` by their number, and what has no name is ``unnamed_17``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ntbdbg.kernel.btf.format import COMPOUND, QUALIFIERS
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.btf.records import Member
from ntbdbg.kernel.btf.table import ENUMS
from ntbdbg.kernel.debugfile.circles import bad_links
from ntbdbg.kernel.debugfile.ctype import CType
from ntbdbg.kernel.debugfile.sizes import known_size, member_bits

if TYPE_CHECKING:
    from ntbdbg.budget import Budget

VOID = {"kind": "base", "name": "void"}
FUNCTION = {"kind": "function"}

Json = dict[str, Any]


class Described(NamedTuple):
    """A reference to a type, and of how many parts it consists."""

    json: Json
    length: int = 1


class IsfTypes:
    """Types of vmlinux. What makes no sense becomes ``void``, or is left out.

    :param budget: what each reference to a type draws from
    """

    def __init__(self, btf: Btf, budget: Budget) -> None:
        self.btf, self._budget = btf, budget
        self._bad = bad_links(btf)
        self._known: dict[int, Described] = {}

    def base_types(self) -> dict[str, Json]:
        """Numbers of C by name."""
        found: dict[str, Json] = {}
        for number in self.btf.ids(Kind.INT, Kind.FLOAT):
            entry = self.btf.entry(number)
            found.setdefault(entry.name, self._base(number, entry.value))
        return found

    def _base(self, number: int, size: int) -> Json:
        kind, is_signed = "float", True
        if self.btf.kind(number) is Kind.INT:
            said = self.btf.integer(number)
            kind, is_signed = "bool" if said.is_bool else "int", said.is_signed
            if size == 1 and not said.is_bool:
                kind = "char"
        return {"size": size, "signed": is_signed, "kind": kind, "endian": "little"}

    def enums(self) -> dict[str, Json]:
        """Enumerations by name."""
        return {self._names[number]: self._enum(number) for number in self.btf.ids(*ENUMS)}

    def _enum(self, number: int) -> Json:
        values = {item.name: item.value for item in self.btf.enumerators(number)}
        self._budget.take(items=len(values))
        size = self.btf.entry(number).value
        return {"size": size, "base": self._enum_base(size, values.values()), "constants": values}

    def _enum_base(self, size: int, values: Any) -> str:
        """Some integer of that size and sign."""
        is_signed = min(values, default=0) < 0
        return next(
            (n for n, t in self._bases.items() if (t["size"], t["signed"]) == (size, is_signed)),
            "void",
        )

    @cached_property
    def _bases(self) -> dict[str, Json]:
        return {name: one for name, one in self.base_types().items() if one["kind"] != "float"}

    def user_types(self) -> dict[str, Json]:
        """Structures and unions by name."""
        return {self._names[number]: self._compound(number) for number in self.btf.ids(*COMPOUND)}

    def _compound(self, number: int) -> Json:
        entry = self.btf.entry(number)
        fields: dict[str, Json] = {}
        for member in self.btf.members(number):
            field = self._field(number, member, entry.value)
            if field is not None:
                name = member.name or f"unnamed_field_{len(fields)}"
                fields[name] = field if member.name else {**field, "anonymous": True}
        kind = "struct" if entry.kind is Kind.STRUCT else "union"
        return {"kind": kind, "size": entry.value, "fields": fields}

    def _field(self, number: int, member: Member, room: int) -> Json | None:
        """None for one that reaches beyond the `room` of its structure."""
        start, bits = member_bits(self.btf, member)
        size = known_size(self.btf, member.type)
        end = start + (8 * size if bits is None else bits)
        if end > 8 * room:
            return None
        described = VOID
        if (number, member.type) not in self._bad:
            described = self.of(CType(member.type))
        if bits is None:
            return {"type": described, "offset": start // 8}
        unit = max(size, 1)
        offset = start // (8 * unit) * unit
        field = {"kind": "bitfield", "bit_position": start - 8 * offset, "bit_length": bits}
        return {"type": {**field, "type": described}, "offset": offset}

    # -- descriptions of types -------------------------------------------------------------

    def of(self, kind: CType) -> Json:
        """How another type, or a symbol, refers to it; SpentError if that is too much."""
        described, length = self._of(kind.number)
        self._budget.take(items=length)
        for _ in range(kind.pointers):
            described = {"kind": "pointer", "subtype": described}
        for count in reversed(kind.lengths):
            described = {"kind": "array", "count": max(count, 0), "subtype": described}
        return described

    def _of(self, number: int) -> Described:
        if number not in self._known:
            self._known[number] = self._describe(number)
        return self._known[number]

    def _describe(self, number: int) -> Described:
        entry = self.btf.entry(number)
        if entry.kind in COMPOUND or entry.kind in ENUMS:
            return Described(self._named(number, entry.kind))
        if entry.kind is Kind.FWD:
            return Described(self._forward(entry.name, entry.flag))
        if entry.kind is Kind.PTR:
            inner = self._behind(number)
            return Described({"kind": "pointer", "subtype": inner.json}, inner.length + 1)
        if entry.kind is Kind.ARRAY:
            inner, count = self._behind(number), self.btf.array(number).length
            array = {"kind": "array", "count": count, "subtype": inner.json}
            return Described(array, inner.length + 1)
        if entry.kind in (Kind.INT, Kind.FLOAT):
            return Described({"kind": "base", "name": entry.name})
        if entry.kind in QUALIFIERS or entry.kind is Kind.TYPEDEF:
            return self._behind(number)
        return Described(FUNCTION if entry.kind is Kind.FUNC_PROTO else VOID)

    def _behind(self, number: int) -> Described:
        """What a pointer, an array or another name leads to."""
        target = self.btf.references(number)[0]
        return Described(VOID) if (number, target) in self._bad else self._of(target)

    def _named(self, number: int, kind: Kind) -> Json:
        words = {Kind.STRUCT: "struct", Kind.UNION: "union"}
        return {"kind": words.get(kind, "enum"), "name": self._names[number]}

    def _forward(self, name: str, is_union: bool) -> Json:
        kind = Kind.UNION if is_union else Kind.STRUCT
        found = self.btf.by_name(kind, name)
        return VOID if found is None else self._named(found, kind)

    @cached_property
    def _names(self) -> dict[int, str]:
        taken: set[str] = set()
        return {number: self._name(number, taken) for number in self._own()}

    def _own(self) -> Iterator[int]:
        return self.btf.ids(*COMPOUND, *ENUMS)

    def _name(self, number: int, taken: set[str]) -> str:
        name = self.btf.entry(number).name
        if not name:
            return f"unnamed_{number}"
        if name in taken:
            return f"{name}#{number}"
        taken.add(name)
        return name
