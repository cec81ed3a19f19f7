# SPDX-License-Identifier: MIT
"""Address expressions as users write them:
``[CAP:][GUEST:][pa:|va:|MODULE:]BASE[@cpu][.member…][+off]``.

BASE is a number (guest-physical, or virtual in the canonical high half), ``mwN`` or ``barN``
(through the guest's outbound window into the peer), or a kernel symbol. Parsing knows no
target: `Guest.resolve` finds out what the expression means there, and only the kernel tells
the dots of a symbol (``foo.isra.0``) from those before members.
"""

from __future__ import annotations

import re

from ntbdbg.errors import UsageError
from ntbdbg.lab.record import Record
from ntbdbg.memory.base import ADDRESS_LIMIT
from ntbdbg.units import parse_number

EXAMPLES = "an address looks like 0x1000, 4K, mw0+0x40, init_uts_ns.name or qemu2:0x1000"

KERNEL_HALF = 0xFF00_0000_0000_0000
"""From here on a bare number is a kernel virtual address: x86-64's canonical high half, which
begins lower with page tables of five levels. No physical address comes near."""

CAPTURE_SUFFIX = ".cap"

# Not compiled before they are needed: a plain number needs none, and starts sooner.
_WINDOW = r"(mw|bar)([0-9]{1,3})"
_SYMBOL = r"(?:[A-Za-z_][A-Za-z0-9_]*:)?[A-Za-z_][A-Za-z0-9_.@$\[\]]*"
_GUEST = r"[^:+\s]+"


class Window(Record):
    """Outbound memory window `number` (``mw``), or the one in BAR `number` (``bar``)."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}{self.number}"


class AddressExpr(Record):
    """A parsed expression.

    :ivar text: as the user wrote it
    :ivar guest: name before the first colon, None if absent
    :ivar space: ``pa`` or ``va`` as written or evident, None for a symbol or window
    :ivar base: number, window, or the path of a symbol (module, cpu and members included;
        `ntbdbg.kernel.symbols.path` takes it apart)
    :ivar offset: bytes added to the base; may be negative
    :ivar capture: path of the capture that the guest is in, None if absent
    """

    text: str
    guest: str | None
    space: str | None
    base: int | Window | str
    offset: int
    capture: str | None = None

    @property
    def is_physical(self) -> bool:
        """Whether it is a plain guest-physical address."""
        return isinstance(self.base, int) and self.space == "pa"

    def of_its_guest(self) -> AddressExpr:
        """The same, as it is said where the guest is known already."""
        return AddressExpr(self.text, None, self.space, self.base, self.offset)

    @classmethod
    def parse(cls, text: str, guests: tuple[str, ...] = ()) -> AddressExpr:
        """Take `text` apart.

        :param guests: names that count as guests even where they could be a module's
        :raises UsageError: not an address expression, or beyond 64 bits
        """
        if ".." in text:
            raise UsageError(
                f"{text!r:.60} is a range, where one address is wanted",
                hint="say where it starts and how long it is: 0x1000 4K",
            )
        capture, rest = split_capture(text.strip())
        guest, rest = _split_guest(rest, guests, text)
        space, rest = _split_space(rest)
        _check_signs(rest)
        word, offset = _split_offset(rest.replace("->", "."))  # as decode shows members
        base = _parse_base(word, space, text)
        if isinstance(base, int):
            _check_sum(base, offset, text)
            space = space or ("va" if base >= KERNEL_HALF else "pa")
        elif isinstance(base, Window):
            _check_window(base, space, offset, text)
        return cls(text, guest, space, base, offset, capture)


def split_capture(text: str) -> tuple[str | None, str]:
    """The path of the capture before the first colon, None without one; and what follows."""
    head, colon, tail = text.partition(":")
    return (head, tail) if colon and head.endswith(CAPTURE_SUFFIX) else (None, text)


def _split_guest(rest: str, guests: tuple[str, ...], text: str) -> tuple[str | None, str]:
    head, colon, tail = rest.partition(":")
    if not colon or head in ("pa", "va"):
        return None, rest
    if head not in guests and re.fullmatch(_SYMBOL, _split_sign(rest)[0]):
        # MODULE:SYMBOL and GUEST:SYMBOL look alike: guests win where they are known.
        if re.fullmatch(_WINDOW, _split_sign(tail)[0]) or tail.lower() == "page":
            return head, tail
        return None, rest
    if not re.fullmatch(_GUEST, head):
        raise _not_understood(text)
    return head, tail


def _split_space(text: str) -> tuple[str | None, str]:
    head, colon, tail = text.partition(":")
    return (head, tail) if colon and head in ("pa", "va") else (None, text)


def _check_signs(text: str) -> None:
    """A minus where only a number fits would be taken for that of an offset."""
    if "[-" in text:
        raise UsageError(
            f"{text!r:.60}: an index is not negative",
            hint="elements count from 0: init_task.comm[0]",
        )
    if "@-" in text:
        raise UsageError(
            f"{text!r:.60}: the number of a CPU is not negative",
            hint="CPUs count from 0: runqueues@0",
        )


def _split_sign(text: str) -> tuple[str, str, str]:
    """Base, sign and digits of the offset; the latter two empty without one."""
    at = next((at for at, letter in enumerate(text) if at and letter in "+-"), None)
    return (text, "", "") if at is None else (text[:at], text[at], text[at + 1 :])


def _split_offset(text: str) -> tuple[str, int]:
    word, sign, digits = _split_sign(text)
    offset = parse_number(digits, what="offset") if sign else 0
    return word, -offset if sign == "-" else offset


def _parse_base(word: str, space: str | None, text: str) -> int | Window | str:
    if _is_number(word):
        return parse_number(word, what="address")
    window = re.fullmatch(_WINDOW, word)
    if window:
        return Window(window[1], int(window[2]))
    if space != "pa" and re.fullmatch(_SYMBOL, word):
        return word
    raise _not_understood(text)


def _is_number(word: str) -> bool:
    digit = word.removeprefix("-")[:1]
    return (digit.isascii() and digit.isdigit()) or word.lower() == "page"


def _check_sum(base: int, offset: int, text: str) -> None:
    if base + offset < 0:
        raise UsageError(f"address {text!r} is below 0", hint=EXAMPLES)
    if base + offset >= ADDRESS_LIMIT:
        raise UsageError(f"address {text!r} does not fit into 64 bits", hint=EXAMPLES)


def _check_window(window: Window, space: str | None, offset: int, text: str) -> None:
    if space:
        raise UsageError(
            f"address {text!r}: {window} is a window, neither pa: nor va:", hint=EXAMPLES
        )
    if offset < 0:
        raise UsageError(f"address {text!r} is before its window", hint=f"e.g. {window}+0x40")


def _not_understood(text: str) -> UsageError:
    return UsageError(f"address {text!r:.60} is not understood", hint=EXAMPLES)
