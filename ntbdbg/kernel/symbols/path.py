# SPDX-License-Identifier: MIT
"""Paths into the kernel as users write them: ``[MODULE:]SYMBOL[@CPU][.MEMBER|[INDEX]…]``.

A symbol may itself hold dots (``foo.isra.0``), so only a symbol table tells where it ends:
`SymbolPath.splits` gives every way, and the longest symbol that exists wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.errors import UsageError

MAX_LENGTH = 512
"""Characters; KSYM_NAME_LEN of Linux 6.1 (include/linux/kallsyms.h), which members rarely reach."""

_PATH = re.compile(
    r"(?:(?P<module>[A-Za-z_]\w*):)?"
    r"(?P<name>[A-Za-z_][\w$]*(?:\.[\w$]+)*)"
    r"(?:@(?P<cpu>[0-9]{1,5}))?"
    r"(?P<members>(?:\.[A-Za-z_]\w*|\[(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})\])*)",
    re.ASCII,
)
_MEMBER = re.compile(r"\.?([A-Za-z_]\w*)|\[(\w+)\]", re.ASCII)

EXAMPLES = (
    "write it like init_task, init_task.comm[3], runqueues@1.curr or ntb_hw_idt:idt_thread_isr"
)


class SymbolPath(NamedTuple):
    """A path taken apart as far as that goes without symbols.

    :ivar name: the symbol, and perhaps members: all words up to ``@``, ``[`` or the end
    :ivar cpu: number of the processor whose copy of a per-CPU symbol is meant, or None
    :ivar members: what follows, ``.curr`` or ``[3].action``; empty if nothing does
    """

    module: str | None
    name: str
    cpu: int | None = None
    members: str = ""

    @classmethod
    def parse(cls, text: str) -> SymbolPath:
        """Take `text` apart; raises UsageError unless it is a path."""
        match = _PATH.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if match is None:
            raise UsageError(f"{text!r:.60} is no symbol with members", hint=EXAMPLES)
        cpu = match["cpu"]
        return cls(match["module"], match["name"], int(cpu) if cpu else None, match["members"])

    def splits(self) -> Iterator[tuple[str, str]]:
        """Symbol and members (``.name.nodename``, or empty), the longest symbol first.

        With a cpu there is one way only: members follow the ``@``. No member is called ``0``.
        """
        name, members = self.name, self.members
        yield name, members
        while self.cpu is None and "." in name:
            name, _, member = name.rpartition(".")
            if not _MEMBER.fullmatch(member):
                return
            members = f".{member}{members}"
            yield name, members

    def __str__(self) -> str:
        module = f"{self.module}:" if self.module else ""
        cpu = "" if self.cpu is None else f"@{self.cpu}"
        return f"{module}{self.name}{cpu}{self.members}"


def member_steps(members: str) -> list[str | int]:
    """``.comm[3].x`` as ``["comm", 3, "x"]``; the first dot may be left out.

    :raises UsageError: no member names and indices
    """
    steps: list[str | int] = []
    at = 0
    while at < len(members):
        match = _MEMBER.match(members, at)
        index = None if match is None or match[2] is None else _index(match[2])
        if match is None or (match[1] is None and index is None):
            raise UsageError(f"{members!r:.60} are no members", hint=EXAMPLES)
        steps.append(match[1] if index is None else index)
        at = match.end()
    return steps


def _index(text: str) -> int | None:
    """Decimal or 0x…; None for anything else."""
    try:
        return int(text, 0) if text[:2] in ("0x", "0X") else int(text, 10)
    except ValueError:
        return None
