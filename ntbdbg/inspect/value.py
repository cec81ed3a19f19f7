# SPDX-License-Identifier: MIT
"""Values and search patterns as users write them: one grammar for patch, search and watch.

u32:5  u16be:0x1234  i8:-1      numbers: u or i, 8 to 64 bits, little-endian unless ``be``
u32:1,2,3                       several of them, one after the other
hex:de ad be ef                 bytes
str:text  utf16:text            characters: UTF-8, UTF-16 (little-endian unless ``utf16be:``)
@file                           the bytes of a file
re:ab+c                         a regular expression over bytes (patterns only)
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.units import parse_number

EXAMPLES = "a value looks like u32:5, u16be:0x1234, hex:de ad, str:text, utf16:text or @file"

MAX_VALUE = 16 << 20
"""Bytes a value may have: it is held in memory and, by patch, in the journal."""

_NUMBER = re.compile(r"([ui])(8|16|32|64)(le|be)?")
_HEX_JUNK = re.compile(r"[\s:,_-]|0[xX]|\\x")


class Pattern(NamedTuple):
    """What to look for.

    :ivar text: as the user wrote it
    :ivar literal: the bytes, None for a regular expression
    :ivar regex: the compiled expression, None for literal bytes
    """

    text: str
    literal: bytes | None
    regex: re.Pattern[bytes] | None = None


def is_raw(text: str) -> bool:
    """Whether `text` says by itself which bytes it stands for: ``u32:5``, ``@file``."""
    kind, colon, _ = text.partition(":")
    known = ("hex", "str", "utf16", "utf16le", "utf16be", "re")
    return text.startswith("@") or bool(colon and (kind in known or _NUMBER.fullmatch(kind)))


def parse_value(text: str) -> bytes:
    """The bytes that `text` stands for, at least one.

    :raises UsageError: bad syntax, a number that does not fit, an unreadable file
    """
    data = _from_file(text[1:]) if text.startswith("@") else _parse(text)
    if not data:
        raise UsageError(f"value {_shown(text)} is empty", hint=EXAMPLES)
    if len(data) > MAX_VALUE:
        raise UsageError(
            f"value {_shown(text)} has {len(data)} bytes, at most {MAX_VALUE} are allowed",
            hint="write it in several parts",
        )
    return data


def parse_pattern(text: str) -> Pattern:
    """As `parse_value`, and ``re:`` as well.

    :raises UsageError: also for an expression that is no regex, or matches empty bytes
    """
    if not text.startswith("re:"):
        return Pattern(text, parse_value(text))
    try:
        # Memory has no lines: '.' stands for any byte.
        regex = re.compile(os.fsencode(text[3:]), re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"pattern {_shown(text)} is no regular expression: {error}",
            hint="Python's syntax over bytes, e.g. re:NTB[0-9]+ or re:\\x7fELF",
        ) from None
    if regex.match(b""):
        raise UsageError(
            f"pattern {_shown(text)} matches nothing at all, so it matches everywhere",
            hint="make it need at least one byte: 'a+' instead of 'a*'",
        )
    return Pattern(text, None, regex)


def literal(data: bytes) -> Pattern:
    """The pattern for exactly `data`."""
    if not data:
        raise UsageError("an empty pattern matches everywhere", hint=EXAMPLES)
    return Pattern("hex:" + data.hex(), data)


def _parse(text: str) -> bytes:
    kind, colon, rest = text.partition(":")
    if not colon:
        raise UsageError(f"value {_shown(text)} has no type", hint=_with_type(text))
    number = _NUMBER.fullmatch(kind)
    if number:
        signed, bits, order = number[1] == "i", int(number[2]), number[3]
        endian = "big" if order == "be" else "little"
        items = [_integer(word, text, signed, bits) for word in rest.split(",")]
        return b"".join(item.to_bytes(bits // 8, endian, signed=signed) for item in items)  # type: ignore[arg-type]
    if kind == "hex":
        return _hex(rest, text)
    if kind in ("str", "utf16", "utf16le", "utf16be"):
        return _characters(kind, rest, text)
    if kind == "re":
        raise UsageError(
            f"value {_shown(text)} is a pattern, which only search takes", hint=EXAMPLES
        )
    raise UsageError(f"value {_shown(text)}: no type {_shown(kind)}", hint=EXAMPLES)


def _with_type(text: str) -> str:
    """How the same is said with a type, as far as one can be guessed."""
    if re.fullmatch("0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}", text):
        return f"as a number e.g. u32:{text}, as text str:{text}"
    if re.fullmatch("(?:[0-9a-fA-F]{2})+", text):
        return f"as bytes hex:{_clipped(text)}, as text str:{_clipped(text)}"
    return f"as text 'str:{_clipped(text)}'; {EXAMPLES}" if text.isprintable() else EXAMPLES


def _integer(word: str, text: str, signed: bool, bits: int) -> int:
    negative = signed and word.strip().startswith("-")
    value = parse_number(word.strip()[1:] if negative else word, what=f"value {_shown(text)}:")
    value = -value if negative else value
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not low <= value < high:
        kind = f"{'i' if signed else 'u'}{bits}"
        raise UsageError(
            f"value {_shown(text)} does not fit {kind}", hint=f"{kind} holds {low} to {high - 1}"
        )
    return value


def _hex(rest: str, text: str) -> bytes:
    try:
        return bytes.fromhex(_HEX_JUNK.sub(" ", rest))
    except ValueError:
        raise UsageError(
            f"value {_shown(text)} is not pairs of hex digits", hint="write hex:deadbeef"
        ) from None


def _characters(kind: str, rest: str, text: str) -> bytes:
    if kind == "str":
        return os.fsencode(rest)
    try:
        return rest.encode("utf-16-be" if kind.endswith("be") else "utf-16-le")
    except UnicodeEncodeError:
        raise UsageError(
            f"value {_shown(text)} is not valid UTF-8, so it has no UTF-16", hint="use hex:"
        ) from None


def _from_file(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UsageError(f"value @{path}: not a regular file", hint=EXAMPLES)
            return file.read(MAX_VALUE + 1)
    except OSError as error:
        raise UsageError(f"value @{path}: {error.strerror}", hint="name a readable file") from None


def _shown(text: str) -> str:
    return repr(_clipped(text))


def _clipped(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"
