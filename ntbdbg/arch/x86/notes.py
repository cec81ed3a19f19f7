# SPDX-License-Identifier: MIT
"""Registers of an x86-64 CPU in the two kinds of ELF notes that vmcores hold.

Sources: ``struct elf_prstatus`` and ``user_regs_struct`` (arch/x86/include/asm/elf.h and
user_64.h); ``QEMUCPUState`` (QEMU, target/i386/arch_dump.c). Registers go by the names of
`ntbdbg.capture` 's captures: ``rip``, ``rflags``, ``cr3``, ``gs_base``, …
"""

from __future__ import annotations

import struct
from collections.abc import Mapping


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OWN: bytes | None = b"QEMU"

PRSTATUS_SIZE = 336
_PID_OFFSET = 32
_REGS_OFFSET = 112

#: user_regs_struct, 27 words
_PRSTATUS_NAMES = _words(
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi "
    "orig_rax rip cs rflags rsp ss fs_base gs_base ds es fs gs"
)
_PRSTATUS = struct.Struct("<27Q")

_GENERAL = _words("rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags")
_SEGMENTS = _words("cs ds es fs gs ss ldt tr gdt idt")
_CONTROLS = _words("cr0 cr1 cr2 cr3 cr4")
_QEMU = struct.Struct("<II18Q" + "IIIIQ" * 10 + "5Q")
_QEMU_VERSION = 1
QEMU_SIZE = _QEMU.size + 8


def parse_prstatus(desc: bytes) -> dict[str, int]:
    """Registers of an NT_PRSTATUS note; empty if it is none of x86-64."""
    if len(desc) != PRSTATUS_SIZE:
        return {}
    registers = dict(zip(_PRSTATUS_NAMES, _PRSTATUS.unpack_from(desc, _REGS_OFFSET), strict=True))
    del registers["orig_rax"]
    return registers


def build_prstatus(registers: Mapping[str, int], cpu: int) -> bytes:
    """An NT_PRSTATUS note's contents for the `cpu`-th CPU, from 1 on, as QEMU writes them."""
    desc = bytearray(PRSTATUS_SIZE)
    struct.pack_into("<I", desc, _PID_OFFSET, cpu)
    values = (registers.get(name, 0) for name in _PRSTATUS_NAMES)
    _PRSTATUS.pack_into(desc, _REGS_OFFSET, *values)
    return bytes(desc)


def parse_own(desc: bytes) -> dict[str, int]:
    """Registers of QEMU's own note; empty if it is of another version."""
    if len(desc) < _QEMU.size:
        return {}
    version, size, *words = _QEMU.unpack_from(desc)
    if version != _QEMU_VERSION or size > len(desc):
        return {}
    registers = dict(zip(_GENERAL, words, strict=False))
    segments, controls = words[18:68], words[68:]
    for index, name in enumerate(_SEGMENTS):
        selector, limit, _, _, base = segments[index * 5 : index * 5 + 5]
        registers |= {name: selector, f"{name}_limit": limit, f"{name}_base": base}
    registers |= dict(zip(_CONTROLS, controls, strict=True))
    if size >= QEMU_SIZE and len(desc) >= QEMU_SIZE:
        registers["kernel_gs_base"] = struct.unpack_from("<Q", desc, _QEMU.size)[0]
    return registers


def build_own(registers: Mapping[str, int]) -> bytes | None:
    """The same as QEMU writes it, what is not known zero; None without what leads to the kernel.

    Readers take CR3 and the IDT from it to find where the kernel lies: zeros would mislead.
    """
    if "cr3" not in registers or "idt_base" not in registers:
        return None
    words = [registers.get(name, 0) for name in _GENERAL]
    for name in _SEGMENTS:
        limit = registers.get(f"{name}_limit", 0)
        words += [registers.get(name, 0), limit, 0, 0, registers.get(f"{name}_base", 0)]
    words += [registers.get(name, 0) for name in _CONTROLS]
    words.append(registers.get("kernel_gs_base", 0))
    return struct.pack(_QEMU.format + "Q", _QEMU_VERSION, QEMU_SIZE, *words)
