# SPDX-License-Identifier: MIT
"""Writes BTF, so that tests make the types they need in a few lines.

    btf = BtfWriter()
    number = btf.integer("int", 4, signed=True)
    btf.struct("point", 8, [("x", number, 0), ("y", number, 32)])
    Btf.parse(btf.data())

Each method adds one type and gives its number. Nothing is checked: nonsense is written too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from ntbdbg.kernel.btf.format import HEADER, MAGIC, VERSION, Kind, Order

Field = tuple[str, int, int] | tuple[str, int, int, int | None]


class BtfWriter:
    """The types of one BTF.

    :param base: what a module's BTF continues; it must be complete by then
    """

    def __init__(self, base: BtfWriter | None = None, *, order: Order = "little") -> None:
        self.base, self.order = base, order
        self.first_id: int = 1 if base is None else base.next_id
        self.first_name: int = 0 if base is None else base.first_name + len(base.strings)
        self.count = 0
        self.types = b""
        self.strings = b"\0" if base is None else b""
        self._known: dict[str, int] = {}

    @property
    def next_id(self) -> int:
        """The number that the next type gets."""
        return self.first_id + self.count

    def data(self, layouts: Mapping[int, tuple[int, int]] | None = None) -> bytes:
        """The whole BTF.

        :param layouts: bytes of types and of their items by kind, for a layout section as of
            Linux 7.1; kinds below the highest one that are not in it have 0 of both
        """
        sections = [0, len(self.types), len(self.types), len(self.strings)]
        mark = ">" if self.order == "big" else "<"
        body = self.types + self.strings
        if layouts is not None:
            body = body.ljust(-(-len(body) // 4) * 4, b"\0")
            rows = [layouts.get(kind, (0, 0)) for kind in range(max(layouts) + 1)]
            sections += [len(body), 4 * len(rows)]
            body += b"".join(struct.pack(f"{mark}BBH", *row, 0) for row in rows)
        size = HEADER if layouts is None else HEADER + 8
        words = f"{len(sections)}I"
        return struct.pack(f"{mark}HBBI{words}", MAGIC, VERSION, 0, size, *sections) + body

    def name(self, text: str) -> int:
        """Offset of `text` in the strings; each is there once."""
        if not text:
            return 0
        if self.base is not None and text in self.base._known:
            return self.base._known[text]
        if text not in self._known:
            self._known[text] = self.first_name + len(self.strings)
            self.strings += text.encode() + b"\0"
        return self._known[text]

    def add(
        self,
        kind: int,
        name: str,
        value: int,
        words: Iterable[int] = (),
        *,
        length: int = 0,
        flag: bool = False,
    ) -> int:
        """A type as it is: its three words, then further `words`."""
        information = kind << 24 | length | flag << 31
        every = [self.name(name), information, value, *words]
        mark = ">" if self.order == "big" else "<"
        self.types += struct.pack(f"{mark}{len(every)}I", *(word & 0xFFFFFFFF for word in every))
        self.count += 1
        return self.next_id - 1

    # -- types without items ---------------------------------------------------------------

    def integer(
        self,
        name: str,
        size: int,
        *,
        signed: bool = False,
        char: bool = False,
        boolean: bool = False,
        bits: int | None = None,
        bit_offset: int = 0,
    ) -> int:
        """INT; `bits` other than its whole size are an old bit field."""
        encoding = signed | char << 1 | boolean << 2
        used = 8 * size if bits is None else bits
        return self.add(Kind.INT, name, size, [encoding << 24 | bit_offset << 16 | used])

    def floating(self, name: str, size: int) -> int:
        """FLOAT."""
        return self.add(Kind.FLOAT, name, size)

    def array(self, element: int, length: int, index_type: int = 1) -> int:
        """ARRAY."""
        return self.add(Kind.ARRAY, "", 0, [element, index_type, length])

    def forward(self, name: str, *, union: bool = False) -> int:
        """FWD: a struct or union that is only declared."""
        return self.add(Kind.FWD, name, 0, flag=union)

    def pointer(self, target: int) -> int:
        """PTR."""
        return self.add(Kind.PTR, "", target)

    def typedef(self, name: str, target: int) -> int:
        """TYPEDEF."""
        return self.add(Kind.TYPEDEF, name, target)

    def const(self, target: int) -> int:
        """CONST."""
        return self.add(Kind.CONST, "", target)

    def volatile(self, target: int) -> int:
        """VOLATILE."""
        return self.add(Kind.VOLATILE, "", target)

    def restrict(self, target: int) -> int:
        """RESTRICT."""
        return self.add(Kind.RESTRICT, "", target)

    def type_tag(self, name: str, target: int) -> int:
        """TYPE_TAG, as ``__user``."""
        return self.add(Kind.TYPE_TAG, name, target)

    def decl_tag(self, name: str, target: int, component: int = -1) -> int:
        """DECL_TAG on `target`, or on one of its members or parameters."""
        return self.add(Kind.DECL_TAG, name, target, [component])

    def function(self, name: str, prototype: int, linkage: int = 0) -> int:
        """FUNC."""
        return self.add(Kind.FUNC, name, prototype, length=linkage)

    def variable(self, name: str, target: int, linkage: int = 0) -> int:
        """VAR."""
        return self.add(Kind.VAR, name, target, [linkage])

    # -- types with items ------------------------------------------------------------------

    def struct(self, name: str, size: int, members: Sequence[Field]) -> int:
        """STRUCT of (name, type, bit offset[, bits]); one with bits makes all so encoded."""
        return self._compound(Kind.STRUCT, name, size, members)

    def union(self, name: str, size: int, members: Sequence[Field]) -> int:
        """UNION, as `struct`."""
        return self._compound(Kind.UNION, name, size, members)

    def _compound(self, kind: Kind, name: str, size: int, members: Sequence[Field]) -> int:
        flag = any(len(field) > 3 and field[3] for field in members)
        words: list[int] = []
        for label, target, offset, *bits in members:
            words += self.name(label), target, offset | ((bits[0] or 0) << 24 if bits else 0)
        return self.add(kind, name, size, words, length=len(members), flag=flag)

    def enum(
        self, name: str, values: Sequence[tuple[str, int]], *, size: int = 4, signed: bool = False
    ) -> int:
        """ENUM; without `values` only declared."""
        words = [word for label, value in values for word in (self.name(label), value)]
        return self.add(Kind.ENUM, name, size, words, length=len(values), flag=signed)

    def enum64(
        self, name: str, values: Sequence[tuple[str, int]], *, size: int = 8, signed: bool = False
    ) -> int:
        """ENUM64."""
        words = [w for label, value in values for w in (self.name(label), value, value >> 32)]
        return self.add(Kind.ENUM64, name, size, words, length=len(values), flag=signed)

    def prototype(self, returns: int, parameters: Sequence[tuple[str, int]] = ()) -> int:
        """FUNC_PROTO; a last parameter ``("", 0)`` stands for ``...``."""
        words = [word for label, target in parameters for word in (self.name(label), target)]
        return self.add(Kind.FUNC_PROTO, "", returns, words, length=len(parameters))

    def section(self, name: str, size: int, variables: Sequence[tuple[int, int, int]]) -> int:
        """DATASEC of (type, offset, size)."""
        words = [word for variable in variables for word in variable]
        return self.add(Kind.DATASEC, name, size, words, length=len(variables))
