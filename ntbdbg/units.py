# SPDX-License-Identifier: MIT
"""Numbers and sizes as users write them and read them: ``64``, ``0x40``, ``4K``, ``page``."""

from __future__ import annotations

from collections.abc import Iterable

from ntbdbg.errors import UsageError

PAGE = 4096
"""Bytes: the unit in which memory is compared, shown and written. x86-64's own, too; others may
have larger ones."""

ADDRESS_LIMIT = 1 << 64
EXAMPLES = "write it like 64, 0x40, 4K, 1M or page"

_SUFFIXES = {"K": 10, "M": 20, "G": 30, "T": 40}
# Longer digit strings are beyond 64 bits anyway; the bound keeps int() from chewing on them.
_MAX_DIGITS = 70


def parse_number(text: str, *, what: str = "number") -> int:
    """The value of `text`, 0 to 2^64 - 1.

    Decimal, or hexadecimal (``0x``), octal (``0o``), binary (``0b``); underscores between
    digits; a suffix K, M, G or T (also KiB, MiB, …) in powers of 1024; ``page`` is 4096.

    :param what: what messages call it, e.g. ``length``
    :raises UsageError: not such a number, negative, or beyond 64 bits
    """
    word = text.strip()
    if word.startswith("-"):
        raise UsageError(f"{what} {_quoted(text)} is negative", hint=EXAMPLES)
    value = PAGE if word.lower() == "page" else _scaled(word)
    if value is None:
        raise UsageError(f"{what} {_quoted(text)} is not a number", hint=EXAMPLES)
    if value >= ADDRESS_LIMIT:
        raise UsageError(f"{what} {_quoted(text)} does not fit into 64 bits", hint=EXAMPLES)
    return value


def parse_size(text: str, *, what: str = "length") -> int:
    """As `parse_number`, but zero is refused too."""
    value = parse_number(text, what=what)
    if value == 0:
        raise UsageError(f"{what} is zero", hint=EXAMPLES)
    return value


_UNITS = ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"))


def format_size(size: int) -> str:
    """`size` bytes for people: ``256 MiB``, ``15.25 MiB``, ``123 B``; exact, never rounded.

    In the largest unit of which it is whole quarters.
    """
    for power, unit in _UNITS:
        whole, part = divmod(size * 4, 4 << power)
        if whole and part % (1 << power) == 0:
            return f"{whole}{('', '.25', '.5', '.75')[part >> power]} {unit}"
    return f"{size} B"


def short_size(size: int) -> str:
    """`size` bytes at a glance: ``114 MiB``, ``3.91 MiB``, ``123 B``.

    Rounded to three digits, unless it is whole quarters of its unit: ``15.25 MiB``.
    """
    for power, unit in _UNITS:
        if size >= 1 << power:
            if size * 4 % (1 << power) == 0:
                return format_size(size)
            number = size / (1 << power)
            digits = 0 if number >= 99.95 else 1 if number >= 9.995 else 2
            text = f"{number:.{digits}f}"
            return f"{text.rstrip('0').rstrip('.') if digits else text} {unit}"
    return f"{size} B"


def counted(number: int, what: str) -> str:
    """``1 page``, ``3 pages``: of what has a plural in s."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def format_numbers(numbers: Iterable[int]) -> str:
    """Numbers in order, neighbours as ranges: ``0-3, 7``; ``none`` of none."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = (
        f"{low}-{high}" if high > low + 1 else ", ".join(map(str, range(low, high + 1)))
        for low, high in runs
    )
    return ", ".join(words) or "none"


def label(name: str, offset: int) -> str:
    """What lies `offset` bytes behind the start of something that has a name: ``jiffies``,
    ``runqueues@1+0x8``, ``idt_thread_isr+0x10 [ntb_hw_idt]``, ``qemu1:mw0+0x40``.
    """
    start, space, owner = name.partition(" ")
    return f"{start}+{offset:#x}{space}{owner}" if offset else name


def _scaled(word: str) -> int | None:
    digits, shift = _split_suffix(word)
    if len(digits) > _MAX_DIGITS or not digits.isascii() or not digits[:1].isdigit():
        return None
    try:
        # Base 0 refuses leading zeros, which users do type.
        return (int(digits, 10) if digits.isdigit() else int(digits, 0)) << shift
    except ValueError:
        return None


def _split_suffix(word: str) -> tuple[str, int]:
    bare = word
    if bare.upper().endswith("IB"):
        bare = bare[:-2]
        if bare[-1:].upper() not in _SUFFIXES:
            return "", 0
    shift = _SUFFIXES.get(bare[-1:].upper())
    return (bare, 0) if shift is None else (bare[:-1], shift)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
