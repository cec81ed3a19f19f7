# SPDX-License-Identifier: MIT
"""BTF of declared C types, as pahole makes it of a kernel's DWARF.

vmlinux = BtfBuilder()
vmlinux.add(types)
data = vmlinux.write(percpu={"runqueues": (0x40, types["struct rq"])})
module = BtfBuilder(base=vmlinux)                 # a module's: only what vmlinux lacks
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.btfwriter import BtfWriter
from tests.support.cdecl import CONTAINERS, CType, CTypes

VOID = 0


class BtfBuilder:
    """Numbers types in the order in which they are met, then writes them in that order.

    :param base: types that another BTF (vmlinux') has already
    :ivar twins: name and size of structures that another one of the name is followed by
    """

    def __init__(self, base: BtfBuilder | None = None) -> None:
        self.writer = BtfWriter(None if base is None else base.writer)
        self._ids: dict[int, int] = {} if base is None else dict(base._ids)
        self._known: dict[str, int] = {} if base is None else dict(base._known)
        self._queue: list[CType] = []
        self.twins: list[tuple[str, int]] = []

    def add(self, types: CTypes) -> None:
        """Every declared type, and those it is made of."""
        for kind in types.named.values():
            self._number(kind)
        self._number(types["int"])

    def write(self, percpu: Mapping[str, tuple[int, CType]]) -> bytes:
        """The BTF, with variables in section .data..percpu by name: (offset, type)."""
        for _, kind in percpu.values():
            self._number(kind)
        for kind in self._queue:
            made = self._write(kind)
            assert made == self._ids[id(kind)], f"{kind.name}: numbered otherwise"
        for name, size in self.twins:
            self.writer.struct(name, size, [("twin", self._known["int"], 0, None)])
        variables = [
            (self.writer.variable(name, self._ids[id(kind)], 1), offset, kind.size)
            for name, (offset, kind) in percpu.items()
        ]
        if variables:
            self.writer.section(".data..percpu", 1 << 15, variables)
        return self.writer.data()

    def _number(self, kind: CType) -> int:
        if kind.kind == "void":
            return VOID
        if id(kind) not in self._ids:
            if kind.name and kind.name in self._known:
                self._ids[id(kind)] = self._known[kind.name]
                return self._ids[id(kind)]
            self._ids[id(kind)] = self.writer.next_id + len(self._queue)
            if kind.name:
                self._known[kind.name] = self._ids[id(kind)]
            self._queue.append(kind)
            for part in [kind.target, *(member.type for member in kind.members)]:
                if part is not None:
                    self._number(part)
        return self._ids[id(kind)]

    def _write(self, kind: CType) -> int:
        write = self.writer
        if kind.kind in CONTAINERS:
            return self._compound(kind)
        target = VOID if kind.target is None else self._number(kind.target)
        if kind.kind == "int":
            is_bool = kind.name == "_Bool"
            return write.integer(kind.name, kind.size, signed=kind.signed, boolean=is_bool)
        if kind.kind == "ptr":
            return write.pointer(target)
        if kind.kind == "array":
            return write.array(target, kind.count, self._known["unsigned long"])
        if kind.kind == "typedef":
            return write.typedef(kind.name, target)
        assert kind.kind == "enum", kind.kind
        tag = kind.name.partition(" ")[2]
        return write.enum(tag, list(kind.values.items()), signed=min(kind.values.values()) < 0)

    def _compound(self, kind: CType) -> int:
        tag = kind.name.partition(" ")[2]
        if not kind.complete:
            return self.writer.forward(tag, union=kind.kind == "union")
        fields = [
            (m.name, self._number(m.type), 8 * m.offset + m.bit_offset, m.bits or None)
            for m in kind.members
        ]
        method = self.writer.struct if kind.kind == "struct" else self.writer.union
        return method(tag, kind.size, fields)
