# SPDX-License-Identifier: MIT
"""Code of a guest as it lies in memory: instructions, what they call, who is there just now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError, NtbdbgError, TargetError
from ntbdbg.inspect.disassembly import LONGEST, Instruction, Syntax, disassemble
from ntbdbg.kernel.log.incidents import incidents
from ntbdbg.kernel.log.troubles import Kind
from ntbdbg.kernel.mmu.virtual import read_some
from ntbdbg.lab.place import Place
from ntbdbg.lab.vcpus import vcpus_of
from ntbdbg.units import format_numbers, parse_number

if TYPE_CHECKING:
    from ntbdbg.kernel.modules.symbolizer import Symbolizer
    from ntbdbg.lab.guest import Guest

MOST = 4096
"""Instructions of one answer."""

AROUND, BEFORE = 24, 12
"""Instructions where nobody says how many: of them before a place in the middle of a function."""

LONGEST_FUNCTION = 1 << 16
"""Bytes from a function's start, from which on instructions are told apart."""

OOPS = "oops"
_CPU = re.compile(r"cpu:?([0-9]+)", re.IGNORECASE)
_PLACE = re.compile(r"([^\s+]+)\+(0x[0-9a-f]{1,8})/0x[0-9a-f]{1,8}(?: \[(\w+)\])?")
_TROUBLE = (Kind.OOPS, Kind.PANIC, Kind.CORRUPTION, Kind.WARNING)


@dataclass(frozen=True)
class Line:
    """An instruction, and what is known of it.

    :ivar offset: from its function's start, None if it is in none
    :ivar label: what its target is, None if it has none with a name
    :ivar marks: who is there: ``CPU 1``, ``last oops``
    :ivar source: ``kernel/sched/core.c:6660`` by debug information, None without
    """

    instruction: Instruction
    offset: int | None
    label: str | None
    marks: tuple[str, ...]
    source: str | None


class Code(NamedTuple):
    """A piece of code.

    :ivar address: what was asked for
    :ivar function: ``idt_thread_isr [ntb_hw_idt]``, None if the place is in none
    :ivar end: why there is no more of it, None if there is
    """

    guest: str
    address: int
    function: str | None
    lines: tuple[Line, ...]
    end: str | None


class Disassembler:
    """Shows code of `guest`, as of now.

    :param syntax: of the instructions
    :ivar problems: why marks are missing
    :raises KernelError: its kernel is not understood
    """

    def __init__(self, guest: Guest, syntax: Syntax = "att") -> None:
        self._guest, self._syntax = guest, syntax
        self._symbols: Symbolizer = guest.kernel.symbolizer()
        self.problems: list[str] = []
        self._cpus = dict(self._processors())
        self._oops = self._last_trouble()

    def show(self, where: str, count: int | None = None) -> Code:
        """The code at an address, a symbol, ``cpu:1`` or ``oops``.

        :param count: instructions from there on; by default a whole function that begins there,
            else some before it and some behind
        :raises TargetError: there is no such CPU, or no oops; it is not in the kernel
        :raises FaultError: nothing is there
        """
        place = self._place(where)
        symbol = self._symbols.find(place.address) if place.is_virtual else None
        start, size = place.address, 0
        if symbol is not None and symbol[1] < LONGEST_FUNCTION:
            start, size = place.address - symbol[1], symbol[0].size
        found, end = self._instructions(place, start, size, count)
        lines = tuple(self._line(one, place.is_virtual) for one in found)
        name = self._symbols.label(start) if symbol else None
        return Code(place.guest.name, place.address, name, lines, end)

    # -- where -----------------------------------------------------------------------------

    def _place(self, where: str) -> Place:
        cpu = _CPU.fullmatch(where)
        if cpu:
            return self._at(self._program_counter(parse_number(cpu[1], what="CPU")))
        if where == OOPS:
            if self._oops is None:
                raise TargetError(
                    f"{self._guest.name}: its log tells of no oops whose place is known",
                    hint=f"'ntbdbg dmesg {self._guest.name}' shows the log",
                )
            return self._at(self._oops[1])
        return self._guest.resolve(where)

    def _at(self, address: int) -> Place:
        return self._guest.resolve(f"va:{address:#x}")

    def _program_counter(self, number: int) -> int:
        registers = self._cpus.get(number)
        name = self._guest.name
        if registers is None:
            known = f"it has {format_numbers(self._cpus)}" if self._cpus else self.problems[0]
            raise TargetError(f"{name}: the place of CPU {number} is not known", hint=known)
        arch = self._guest.kernel.arch
        if arch.is_user(registers):
            raise TargetError(
                f"{name}: CPU {number} executes a program, not the kernel",
                hint=f"'ntbdbg cpu {name} {number}' shows its registers",
            )
        return registers[arch.registers.pc]

    def _processors(self) -> Iterator[tuple[int, dict[str, int]]]:
        found = vcpus_of(self._guest)
        if found.why:
            self.problems.append(f"the places of its processors are not known: {found.why}")
        for record in found.records:
            if "rip" in record.registers:
                yield record.index, dict(record.registers)

    def _last_trouble(self) -> tuple[str, int] | None:
        """What it is called and where: the last oops, or what else is told with a place."""
        from ntbdbg.kernel.tasks.system import read_log

        try:
            found = incidents(read_log(self._guest.kernel).records)
        except NtbdbgError as error:
            self.problems.append(f"whether its log tells of an oops is not known: {error.message}")
            return None
        told = [one for one in found if one.kind in _TROUBLE and _PLACE.fullmatch(one.place)]
        told.sort(key=lambda one: one.kind is not Kind.WARNING)
        address = self._address(told[-1].place) if told else None
        return None if address is None else (f"last {told[-1].kind.value}", address)

    def _address(self, place: str) -> int | None:
        """VA of ``my_write+0x12/0x20 [my]``; None if that module is gone."""
        parts = _PLACE.fullmatch(place)
        assert parts
        try:
            symbol = self._symbols.first_in(parts[1], parts[3])
        except KernelError:
            return None
        return None if symbol is None else symbol.address + int(parts[2], 16)

    # -- what ------------------------------------------------------------------------------

    def _instructions(
        self, place: Place, start: int, size: int, count: int | None
    ) -> tuple[list[Instruction], str | None]:
        """Those that are to be shown, and why there are no more."""
        wanted = AROUND if count is None else min(count, MOST)
        length = place.address - start + (wanted + 1) * LONGEST
        if count is None:
            length = max(length, min(size, MOST * LONGEST))
        code = read_some(place.memory, start, length)
        if len(code) <= place.address - start:
            place.memory.read(place.address, 1)  # which tells why nothing is there
        found = list(disassemble(code, start, self._syntax))
        at = next((i for i, one in enumerate(found) if one.end > place.address), len(found))
        end = None if len(code) == length else "what follows is not in RAM"
        if count is not None:
            return found[at : at + wanted], end if at + wanted > len(found) else None
        own = [one for one in found if one.address < start + size] if size else found
        first, most = max(at - BEFORE, 0), MOST if place.address == start and size else AROUND
        return own[first : first + most], end if len(own) == len(found) else None

    def _line(self, one: Instruction, is_virtual: bool) -> Line:
        if not is_virtual:
            return Line(one, None, None, (), None)
        inside = self._symbols.find(one.address)
        label = None if one.target is None else self._symbols.label(one.target)
        offset = inside[1] if inside else None
        return Line(one, offset, label, tuple(self._marks(one)), self._source(one.address))

    def _marks(self, one: Instruction) -> Iterator[str]:
        places = [(f"CPU {number}", regs["rip"]) for number, regs in sorted(self._cpus.items())]
        for name, address in [*places, *([self._oops] if self._oops else [])]:
            if one.address <= address < one.end:
                yield name

    def _source(self, address: int) -> str | None:
        if self._guest.kernel.debug_file is None:
            return None
        try:
            found = self._guest.kernel.prog.source_location(address)
        except (LookupError, KernelError, FaultError):
            return None
        return f"{found[0].filename}:{found[0].line}" if found else None
