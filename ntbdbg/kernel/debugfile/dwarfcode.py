# SPDX-License-Identifier: MIT
"""Functions and variables as DWARF's entries.

Where parameters are is known at a function's first instructions only: in the registers in which
the caller passed them (System V ABI for x86-64, section 3.2.3). Further on nobody tells.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.btf.records import Parameter
from ntbdbg.kernel.btf.table import ENUMS
from ntbdbg.kernel.debugfile.dies import At, Dies, Form, Shape, Tag, address_expression
from ntbdbg.kernel.debugfile.dwarftypes import FLAGGED, NAME, REST, TYPE, DwarfTypes
from ntbdbg.kernel.debugfile.sizes import known_size
from ntbdbg.kernel.debugfile.variables import Function, Variable
from ntbdbg.kernel.symbols.symbols import Symbol

if TYPE_CHECKING:
    from ntbdbg.budget import Budget

ARGUMENTS = (5, 4, 1, 2, 8, 9)
"""rdi, rsi, rdx, rcx, r8, r9, as DWARF numbers them (ABI, figure 3.36)."""

MOST_PARAMETERS = 64
LONGEST_PROLOGUE = 16
_SCALARS = ENUMS | {Kind.INT, Kind.PTR}
_PROLOGUE = re.compile(
    rb"(?:\xf3\x0f\x1e\xfa)?"  # endbr64
    rb"(?:\x0f\x1f\x44\0\0|\xe8.{4})?"  # the call of __fentry__, or what stands for it
    rb"(?:\x55(?:\x48\x89\xe5)?)?",  # push %rbp; mov %rsp,%rbp
    re.DOTALL,
)
_DW_OP_REG0 = 0x50

_PLACED = {At.LOW_PC: Form.ADDR, At.HIGH_PC: Form.DATA4}
_EXTERNAL = {At.EXTERNAL: Form.FLAG_PRESENT}
_FUNCTION = Shape(Tag.SUBPROGRAM, {**NAME, **_PLACED, **FLAGGED, **TYPE}, children=True)
_GLOBAL_FUNCTION = Shape(
    Tag.SUBPROGRAM, {**NAME, **_PLACED, **FLAGGED, **_EXTERNAL, **TYPE}, children=True
)
_PARAMETER = Shape(Tag.PARAMETER, {**NAME, **TYPE})
_KNOWN_PARAMETER = Shape(Tag.PARAMETER, {**NAME, At.LOCATION: Form.SEC_OFFSET, **TYPE})
_VARIABLE = Shape(Tag.VARIABLE, {**NAME, At.LOCATION: Form.EXPRLOC, **TYPE})
_GLOBAL_VARIABLE = Shape(Tag.VARIABLE, {**NAME, At.LOCATION: Form.EXPRLOC, **_EXTERNAL, **TYPE})

_PLACES = struct.Struct("<QQHB16x")
"""Of one list of ``.debug_loc``: from, to, one operation; and its end."""

Code = Callable[[int, int], bytes]


class DwarfCode:
    """Writes functions and variables of one BTF.

    :param locations: ``.debug_loc``, to which lists are added
    :param code: bytes at a VA, as many as there are of those asked for
    """

    def __init__(
        self, dies: Dies, types: DwarfTypes, locations: bytearray, code: Code, budget: Budget
    ) -> None:
        self._dies, self._types, self._locations = dies, types, locations
        self._code, self._budget = code, budget
        self._arguments: dict[int, bool] = {}

    def variables(self, found: Iterable[Variable]) -> None:
        """One entry each; of no known type are those whose type makes no sense."""
        for symbol, kind in found:
            shape = _GLOBAL_VARIABLE if symbol.is_global else _VARIABLE
            number = self._types.make(kind)
            if number:
                name, place = self._dies.name(symbol.name), address_expression(symbol.address)
                self._dies.add(shape, name, place, type=number)

    def functions(self, found: Iterable[Function]) -> None:
        """One entry each, with its parameters."""
        for symbol, number in found:
            prototype = self._types.link(number, self._types.btf.references(number)[0])
            if prototype and self._types.btf.kind(prototype) is Kind.FUNC_PROTO:
                self._function(symbol, prototype)

    def _function(self, symbol: Symbol, prototype: int) -> None:
        btf, dies = self._types.btf, self._dies
        shape = _GLOBAL_FUNCTION if symbol.is_global else _FUNCTION
        size = min(symbol.size, 0xFFFF_FFFF)
        result = self._types.link(prototype, btf.references(prototype)[0])
        dies.add(shape, dies.name(symbol.name), symbol.address, size, type=result)
        parameters = btf.parameters(prototype)[:MOST_PARAMETERS]
        self._budget.take(items=1 + len(parameters))
        known = self._passed(parameters)
        end = symbol.address + min(self._prologue(symbol) + 1, symbol.size) if known else 0
        for index, parameter in enumerate(parameters):
            kind = self._types.link(prototype, parameter.type)
            if not (parameter.name or parameter.type):
                dies.add(REST)
            elif index < known:
                place = self._list(symbol.address, end, ARGUMENTS[index])
                dies.add(_KNOWN_PARAMETER, dies.name(parameter.name), place, type=kind)
            else:
                dies.add(_PARAMETER, dies.name(parameter.name), type=kind)
        dies.end()

    def _list(self, start: int, end: int, register: int) -> int:
        place = len(self._locations)
        self._locations += _PLACES.pack(start, end, 1, _DW_OP_REG0 + register)
        return place

    def _passed(self, parameters: list[Parameter]) -> int:
        """How many of the first ones are in registers for sure: structures change the count."""
        kinds = (parameter.type for parameter in parameters[: len(ARGUMENTS)])
        are = [self._is_scalar(kind) for kind in kinds]
        return are.index(False) if False in are else len(are)

    def _is_scalar(self, number: int) -> bool:
        if number not in self._arguments:
            self._arguments[number] = _is_scalar(self._types.btf, number)
        return self._arguments[number]

    def _prologue(self, symbol: Symbol) -> int:
        """Bytes of first instructions that change no register in which a parameter is."""
        found = _PROLOGUE.match(self._code(symbol.address, LONGEST_PROLOGUE))
        return found.end() if found else 0


def _is_scalar(btf: Btf, number: int) -> bool:
    try:
        kind = btf.kind(btf.resolve(number)) if number else Kind.VOID
        return kind in _SCALARS and known_size(btf, number) <= 8
    except KernelError:
        return False
