# SPDX-License-Identifier: MIT
"""Processors as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ntbdbg.inspect.x86bits import NAMES, ROOT, bit_names, io_privilege, pcid, ring
from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from ntbdbg.analysis.processors import Processor

PLACES = ("rip", "rsp", "rbp")
PLAIN = (
    ("rax", "rbx", "rcx", "rdx"),
    ("rsi", "rdi", "r8", "r9"),
    ("r10", "r11", "r12", "r13"),
    ("r14", "r15"),
)
SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs", "ldt", "tr")
BASES = ("fs_base", "gs_base", "kernel_gs_base", "gdt_base", "idt_base", "tr_base")
BREAKPOINTS = ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7")

_RESTING = {"dr6": 0xFFFF0FF0, "dr7": 0x400}
"""What debug registers hold that nobody set."""


def cpu_lines(cpu: Processor) -> Iterator[str]:
    """A heading, then registers: those with a meaning one a line."""
    yield _heading(cpu)
    registers = cpu.registers
    for name in PLACES:
        if name in registers:
            yield _line(name, registers[name], cpu.symbols.get(name, ""))
    for row in PLAIN:
        cells = [f"{name:<4}{registers[name]:016x}" for name in row if name in registers]
        if cells:
            yield f"  {'  '.join(cells)}"
    for name, label in cpu.symbols.items():
        if name not in PLACES:
            yield f"       {name} is {printable(label)}"
    yield from _controls(cpu)
    yield from _segments(cpu)


def _heading(cpu: Processor) -> str:
    words = [cpu.mode]
    if cpu.interrupts is not None:
        words.append(f"interrupts {'on' if cpu.interrupts else 'off'}")
    if cpu.halted:
        words.append("halted")
    task = "unknown task" if cpu.task is None else f"pid {cpu.task.pid} {printable(cpu.task.name)}"
    return f"CPU {cpu.index}: {task}, {', '.join(words)}"


def _line(name: str, value: int, words: str) -> str:
    return f"  {name:<8}{value:016x}  {printable(words)}".rstrip()


def _controls(cpu: Processor) -> Iterator[str]:
    registers = cpu.registers
    for name in ("rflags", "cr0", "cr2", "cr3", "cr4", "efer"):
        if name in registers:
            yield _line(name, registers[name], _meaning(cpu, name))
    for name in BREAKPOINTS:
        if registers.get(name, 0) not in (0, _RESTING.get(name)):
            yield _line(name, registers[name], "")


def _meaning(cpu: Processor, name: str) -> str:
    value = cpu.registers[name]
    if name in NAMES:
        words = bit_names(name, value)
        level = io_privilege(value) if name == "rflags" else 0
        return " ".join([*words, *([f"IOPL={level}"] if level else [])])
    if name == "cr2":
        return "address of the last page fault" if value else ""
    number = pcid(value, cpu.registers.get("cr4"))
    words = [f"page tables at {value & ROOT:#x}"]
    words += [cpu.tables] if cpu.tables else []
    return ", ".join([*words, *([f"PCID {number}"] if number else [])])


def _segments(cpu: Processor) -> Iterator[str]:
    registers = cpu.registers
    cells = [f"{name} {registers[name]:04x}" for name in SEGMENTS if name in registers]
    if cells:
        yield f"  {'  '.join(cells)}"
    for name in BASES:
        if registers.get(name):
            yield f"  {name:<15}{registers[name]:016x}"


def cpu_facts(cpu: Processor) -> dict[str, Any]:
    """As docs/json.md has them."""
    registers = dict(cpu.registers)
    return {
        "cpu": cpu.index,
        "mode": cpu.mode,
        "ring": ring(registers),
        "interrupts": cpu.interrupts,
        "halted": cpu.halted,
        "task": asdict(cpu.task) if cpu.task else None,
        "registers": registers,
        "bits": {name: bit_names(name, registers[name]) for name in NAMES if name in registers},
        "symbols": dict(cpu.symbols),
        "page_tables": cpu.tables,
    }
