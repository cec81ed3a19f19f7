# SPDX-License-Identifier: MIT
"""x86-64 code as instructions, by capstone, which is imported when the first one is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from capstone import Cs, CsInsn

LONGEST = 15
"""Bytes of an instruction (Intel SDM, volume 3, 7.21)."""

KERNEL_HALF = 0xFF00_0000_0000_0000
_LARGE = re.compile(r"\$([0-9]{10,20})\b")
"""Addresses that capstone shows as decimal numbers."""

MASK = (1 << 64) - 1

Syntax = Literal["att", "intel"]


class Instruction(NamedTuple):
    """One of them, or bytes that are none.

    :ivar text: as an assembler takes it
    :ivar target: the address that it names: where a call or jump goes, or what lies at a place
        that is given by the instruction pointer or as a number; None if it names none
    """

    address: int
    raw: bytes
    text: str
    target: int | None = None

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.address + len(self.raw)


def disassemble(code: bytes, address: int, syntax: Syntax = "att") -> Iterator[Instruction]:
    """Every instruction in `code`, which lies at VA `address`; ``.byte`` where none is.

    The last one is left out if its end is not in `code`.
    """
    engine = _engine(syntax)
    position = 0
    while position < len(code):
        found = next(engine.disasm(code[position:], address + position, 1), None)
        if found is None:
            if len(code) - position < LONGEST:
                return
            value = code[position]
            yield Instruction(address + position, bytes([value]), f".byte 0x{value:02x}")
            position += 1
        else:
            raw = bytes(found.bytes)
            text = _LARGE.sub(_hexadecimal, f"{found.mnemonic} {found.op_str}".strip())
            yield Instruction(address + position, raw, text, _target(found))
            position += len(raw)


def _hexadecimal(number: re.Match[str]) -> str:
    return f"${int(number[1]):#x}"


def _engine(syntax: Syntax) -> Cs:
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.detail = True
    att = syntax == "att"
    engine.syntax = capstone.CS_OPT_SYNTAX_ATT if att else capstone.CS_OPT_SYNTAX_INTEL
    return engine


def _target(found: CsInsn) -> int | None:
    from capstone import CS_GRP_CALL, CS_GRP_JUMP
    from capstone.x86 import X86_OP_IMM, X86_OP_MEM, X86_REG_RIP

    branches = found.group(CS_GRP_CALL) or found.group(CS_GRP_JUMP)
    for operand in found.operands:
        if operand.type == X86_OP_IMM:
            value = int(operand.imm) & MASK
            if branches or value >= KERNEL_HALF:
                return value
        elif operand.type == X86_OP_MEM and not operand.mem.segment:
            place = int(operand.mem.disp)
            if operand.mem.base == X86_REG_RIP:
                return int(found.address) + int(found.size) + place & MASK
            if not operand.mem.base and place & MASK >= KERNEL_HALF:
                return place & MASK
    return None
