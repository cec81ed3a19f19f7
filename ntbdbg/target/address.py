# SPDX-License-Identifier: MIT
"""Address expressions as users write them: ``[GUEST:][pa:|va:]BASE[+OFFSET]``.

BASE is a number (guest-physical, or virtual in the canonical high half), ``mwN`` or ``barN``
(through the guest's outbound window into the peer), or a kernel symbol. Parsing knows no
target; `Guest.resolve` finds out what the expression means there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.memory.base import ADDRESS_LIMIT
from ntbdbg.memory.number import parse_number

EXAMPLES = "an address looks like 0x1000, 4K, mw0+0x40 or qemu2:0x1000"

KERNEL_HALF = 0xFFFF_8000_0000_0000
"""From here on a bare number is a kernel virtual address (x86-64, canonical high half)."""

_WINDOW = re.compile(r"(mw|bar)([0-9]{1,3})")
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_.@$]*(:[A-Za-z_][A-Za-z0-9_.@$]*)?")
_NUMBER = re.compile(r"[+-]?[0-9]|page$", re.IGNORECASE)
_GUEST = re.compile(r"[^:+\s]+")


class Window(NamedTuple):
    """Outbound memory window `number` (``mw``), or the one in BAR `number` (``bar``)."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}{self.number}"


class AddressExpr(NamedTuple):
    """A parsed expression.

    :ivar text: as the user wrote it
    :ivar guest: name before the first colon, None if absent
    :ivar space: ``pa`` or ``va`` as written or evident, None for a symbol or window
    :ivar base: number, window, or symbol (with members, not taken apart here)
    :ivar offset: bytes added to the base
    """

    text: str
    guest: str | None
    space: str | None
    base: int | Window | str
    offset: int

    @property
    def is_physical(self) -> bool:
        """Whether it is a plain guest-physical address."""
        return isinstance(self.base, int) and self.space == "pa"

    @classmethod
    def parse(cls, text: str, guests: tuple[str, ...] = ()) -> AddressExpr:
        """Take `text` apart.

        :param guests: names that count as guests even where they could be a module's
        :raises UsageError: not an address expression, or beyond 64 bits
        """
        guest, rest = _split_guest(text.strip(), guests)
        space, rest = _split_space(rest)
        word, plus, tail = rest.partition("+")
        offset = parse_number(tail, what="offset") if plus else 0
        base = _parse_base(word, space, text)
        if isinstance(base, int):
            if base + offset >= ADDRESS_LIMIT:
                raise UsageError(f"address {text!r} does not fit into 64 bits", hint=EXAMPLES)
            space = space or ("va" if base >= KERNEL_HALF else "pa")
        elif isinstance(base, Window) and space:
            raise UsageError(
                f"address {text!r}: {base} is a window, neither {space}: nor va:", hint=EXAMPLES
            )
        return cls(text, guest, space, base, offset)


def _split_guest(text: str, guests: tuple[str, ...]) -> tuple[str | None, str]:
    head, colon, tail = text.partition(":")
    if not colon or head in ("pa", "va"):
        return None, text
    if head not in guests and _SYMBOL.fullmatch(text.partition("+")[0]):
        # MODULE:SYMBOL and GUEST:SYMBOL look alike: guests win where they are known.
        if _WINDOW.fullmatch(tail.partition("+")[0]) or tail.lower() == "page":
            return head, tail
        return None, text
    if not _GUEST.fullmatch(head):
        raise UsageError(f"address {text!r} is not understood", hint=EXAMPLES)
    return head, tail


def _split_space(text: str) -> tuple[str | None, str]:
    head, colon, tail = text.partition(":")
    return (head, tail) if colon and head in ("pa", "va") else (None, text)


def _parse_base(word: str, space: str | None, text: str) -> int | Window | str:
    if _NUMBER.match(word):
        return parse_number(word, what="address")
    window = _WINDOW.fullmatch(word)
    if window:
        return Window(window[1], int(window[2]))
    if _SYMBOL.fullmatch(word) and space != "pa":
        return word
    raise UsageError(f"address {text!r:.60} is not understood", hint=EXAMPLES)
