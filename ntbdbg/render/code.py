# SPDX-License-Identifier: MIT
"""Disassembled code as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from ntbdbg.analysis.code import Code, Line

_COLUMN = 44
"""Where what is said of an instruction begins, unless the instruction is longer."""


def code_lines(code: Code, *, raw: bool = False) -> Iterator[str]:
    """A heading, then one line an instruction; an arrow where somebody is.

    :param raw: with the bytes
    """
    if code.function:
        yield f"{printable(code.function)}:"
    source = None
    for line in code.lines:
        if line.source and line.source != source:
            yield f"   {printable(line.source)}"
        source = line.source
        yield _line(line, raw)
    if code.end:
        yield f"   ({code.end})"


def _line(line: Line, raw: bool) -> str:
    one = line.instruction
    arrow = "=>" if line.marks else "  "
    offset = "" if line.offset is None else f"+{line.offset:#x}"
    mnemonic, _, operands = one.text.partition(" ")
    words = f"{mnemonic:<7} {operands}".rstrip()
    said = f"<{printable(line.label)}>" if line.label else ""
    said += f"  <- {', '.join(line.marks)}" if line.marks else ""
    text = f"{words:<{_COLUMN}} {said}".rstrip() if said else words
    content = f"{one.raw.hex(' '):<30} " if raw else ""
    return f"{arrow} {one.address:016x} {offset:<7} {content}{text}"


def code_facts(code: Code) -> dict[str, Any]:
    """As docs/json.md has them."""
    return {
        "guest": code.guest,
        "address": code.address,
        "function": code.function,
        "end": code.end,
        "instructions": [
            {
                "address": line.instruction.address,
                "offset": line.offset,
                "bytes": line.instruction.raw.hex(),
                "text": line.instruction.text,
                "target": line.instruction.target,
                "label": line.label,
                "marks": list(line.marks),
                "source": line.source,
            }
            for line in code.lines
        ],
    }
