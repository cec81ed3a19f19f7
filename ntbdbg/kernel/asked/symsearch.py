# SPDX-License-Identifier: MIT
"""Symbols by pattern, and what is known of one: section, C type."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.kernel.asked.lookup import is_percpu
from ntbdbg.kernel.modules.symbolizer import Symbolizer

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.symbols.symbols import Symbol

LONGEST_PATTERN = 128

SECTIONS = {
    "a": "absolute", "b": "bss", "d": "data", "g": "data", "r": "rodata", "s": "bss", "t": "text",
    "u": "unique", "v": "weak", "w": "weak",
}  # fmt: skip
"""What ``nm``'s letters mean; capitals are global symbols."""


class SymbolFacts(NamedTuple):
    """One symbol, or what a path beyond it names.

    :ivar name: as an address expression takes it, without the module
    :ivar address: VA; of a per-CPU variable its place in every CPU's area
    :ivar size: bytes; of a bare symbol those to the next one
    :ivar section: ``text``, ``data``, ``rodata``, ``bss``, ``per-CPU``, …
    :ivar is_global: whether other files of the kernel see it
    :ivar type: in C, None if nobody tells it
    """

    name: str
    module: str | None
    address: int
    size: int
    section: str
    is_global: bool
    type: str | None = None


def is_pattern(text: str) -> bool:
    """Whether `text` asks for several symbols: ``*`` any characters, ``?`` any one."""
    return "*" in text or "?" in text


def matching(kernel: KernelImage, pattern: str) -> Iterator[Symbol]:
    """Symbols whose name is like `pattern`, ``idt_*`` or ``ntb_hw_idt:*``: vmlinux, then modules.

    :raises UsageError: the pattern is too long
    :raises KernelError: there are no symbols
    """
    if len(pattern) > LONGEST_PATTERN:
        raise UsageError(
            f"the pattern is longer than {LONGEST_PATTERN} characters", hint="shorten it with *"
        )
    module, colon, name = pattern.rpartition(":")
    # Runs of stars mean one; more would make the expression slow.
    wanted = re.compile(fnmatch.translate(re.sub(r"\*+", "*", name)))
    in_module = re.compile(fnmatch.translate(module))
    for table in Symbolizer(kernel).tables():
        if colon and not in_module.match(table.module or "vmlinux"):
            continue
        for index, spelled in enumerate(table.names):
            if wanted.match(spelled, 1):
                yield table[index]


def facts_of(kernel: KernelImage, symbol: Symbol, type_name: str | None = None) -> SymbolFacts:
    """What the symbol table tells, and the type if that is known."""
    per_cpu = symbol.letter in "aA" and is_percpu(kernel, symbol)
    section = "per-CPU" if per_cpu else SECTIONS.get(symbol.letter.lower(), "?")
    return SymbolFacts(
        name=symbol.name,
        module=symbol.module,
        address=symbol.address,
        size=symbol.size,
        section=section,
        is_global=symbol.is_global,
        type=type_name,
    )
