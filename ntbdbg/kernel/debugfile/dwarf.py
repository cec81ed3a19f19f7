# SPDX-License-Identifier: MIT
"""Debug information of a kernel and its modules: one unit for each of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.debugfile.dies import At, Dies, Form, Shape, Tag
from ntbdbg.kernel.debugfile.dwarfcode import Code, DwarfCode
from ntbdbg.kernel.debugfile.dwarftypes import DwarfTypes
from ntbdbg.kernel.debugfile.elf import Section
from ntbdbg.kernel.debugfile.variables import functions, variables
from ntbdbg.kernel.symbols.symbols import SymbolTable

if TYPE_CHECKING:
    from ntbdbg.budget import Budget

C11 = 0x1D
"""DW_LANG_C11."""

_UNIT = Shape(
    Tag.UNIT,
    {
        At.PRODUCER: Form.STRP,
        At.NAME: Form.STRP,
        At.LANGUAGE: Form.DATA2,
        At.LOW_PC: Form.ADDR,
        At.RANGES: Form.SEC_OFFSET,
    },
    children=True,
)
_RANGE = struct.Struct("<QQ")

Range = tuple[int, int]


class Dropped(NamedTuple):
    """What of the types of a module, or of vmlinux, made no sense."""

    name: str
    parts: int


class Dwarf:
    """Collects units; `sections` gives what they became.

    :param producer: who says all this
    :param code: bytes at a VA
    :param budget: what each function and variable draws from
    """

    def __init__(self, producer: str, code: Code, budget: Budget) -> None:
        self._dies, self._code, self._budget = Dies(), code, budget
        self._producer = self._dies.name(producer)
        self._locations, self._ranges = bytearray(), bytearray()
        self._base: DwarfTypes | None = None
        self.dropped: list[Dropped] = []

    def add(self, btf: Btf, table: SymbolTable, ranges: Iterable[Range]) -> None:
        """A unit; that of vmlinux comes first.

        :param table: symbols of which it tells; empty for types alone
        :param ranges: VAs of its code, from and to
        """
        self._budget.take(items=len(btf) - btf.first_id)
        dies = self._dies
        dies.begin_unit()
        place = len(self._ranges)
        for one in ranges:
            self._ranges += _RANGE.pack(*one)
        self._ranges += _RANGE.pack(0, 0)
        dies.add(_UNIT, self._producer, dies.name(btf.name), C11, 0, place)
        types = DwarfTypes(dies, btf, self._base)
        types.write()
        code = DwarfCode(dies, types, self._locations, self._code, self._budget)
        code.variables(variables(btf, table))
        code.functions(functions(btf, table))
        dies.end_unit(types.offsets)
        if types.dropped:
            self.dropped.append(Dropped(btf.name, types.dropped))
        if self._base is None:
            self._base = types

    def sections(self) -> Sequence[Section]:
        """What a file needs for a debugger to find all of it."""
        return [
            Section(".debug_info", bytes(self._dies.data)),
            Section(".debug_abbrev", self._dies.abbreviations()),
            Section(".debug_str", bytes(self._dies.strings.data)),
            Section(".debug_loc", bytes(self._locations)),
            Section(".debug_ranges", bytes(self._ranges)),
        ]
