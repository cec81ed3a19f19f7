# SPDX-License-Identifier: MIT
"""What ``diff`` compares: guests, places in them, RAM files, plain files, windows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.inspect.diff import Span, common_spans
from ntbdbg.memory.formats import sniff
from ntbdbg.memory.number import format_size, parse_number
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment, SegmentMap

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.target.guest import Guest

DEFAULT_LENGTH = 4096


class Side(NamedTuple):
    """One side of a comparison.

    :ivar name: for headings
    :ivar spot: address of the first byte to compare, None for all there is
    :ivar room: bytes from there on, None if memory alone limits it
    """

    name: str
    memory: PhysicalMemory
    spot: int | None = None
    room: int | None = None


class Comparison(NamedTuple):
    """Two memories and what of them is compared."""

    a: Side
    b: Side
    spans: tuple[Span, ...]


def compare_operands(
    app: AppContext, first: str, second: str, address: str | None, length: int | None
) -> Comparison:
    """``diff A B [ADDR] [LEN]`` without ``--window``.

    :param address: applies to both operands; not with an operand that has its own
    :raises UsageError: the combination makes no sense
    """
    words = (first, second)
    own = [_has_spot(app, word) for word in words]
    if address is not None and any(own):
        raise UsageError(
            f"{words[own.index(True)]} has an address of its own, ADDR gives another",
            hint="leave ADDR out; the length alone is --length",
        )
    if address is not None:
        size = DEFAULT_LENGTH if length is None else length
        sides = [_side(app, word, address, size) for word in words]
    elif any(own):
        sides = [_side(app, word, None, length) for word in words]
        size = _size_of(sides, length)
    else:
        return _whole(app, first, second, length)
    a, b = (side._replace(spot=side.spot or 0) for side in sides)
    assert a.spot is not None
    assert b.spot is not None
    return Comparison(a, b, (Span(a.spot, b.spot, size),))


def plain_file(path: str) -> Side:
    """A file as nothing but bytes, its offsets as addresses."""
    memory = RamFile(path, [], name=path, is_live=False)
    size = memory.file.identity.size
    memory.segments = SegmentMap([Segment(0, size, 0)] if size else [])
    return Side(path, memory, 0, size)


def file_operand(app: AppContext, word: str) -> tuple[str, str | None] | None:
    """Path and offset (None without one) if an operand means a file, None if a guest or dump."""
    if word in app.lab.names:
        return None
    head, colon, rest = word.rpartition(":")
    if os.sep in word and (sniff(word) or (colon and sniff(head))):
        return None
    if colon and not os.path.exists(word) and head not in app.lab.names and os.path.exists(head):
        return head, rest
    return (word, None) if os.sep in word or os.path.exists(word) else None


def _has_spot(app: AppContext, word: str) -> bool:
    file = file_operand(app, word)
    return ":" in word if file is None else file[1] is not None


def _side(app: AppContext, word: str, address: str | None, size: int | None) -> Side:
    """An operand for which a place is known, by itself or by the other one."""
    file = file_operand(app, word)
    if file is not None:
        if address is not None:
            return _file_at(app, file[0], address, size or 0)
        side = plain_file(file[0])
        spot = parse_number(file[1], what="file offset") if file[1] else 0
        return side._replace(spot=spot, room=max(0, (side.room or 0) - spot))
    name, colon, rest = word.partition(":")
    expression = rest if colon else address
    if expression is None:
        raise UsageError(
            f"where in {word}? The other operand has an address", hint=f"say {word}:ADDR"
        )
    place = app.guest(name).resolve(expression, size or 1)
    if place.via:
        app.note(f"{place.via} reaches {place.guest.name}:{place.address:#x}")
    return Side(place.guest.name, place.memory, place.address)


def _file_at(app: AppContext, path: str, address: str, size: int) -> Side:
    """A file for ``A FILE ADDR LEN``: exactly LEN bytes are those bytes, else it is RAM."""
    side = plain_file(path)
    if side.room == size:
        app.note(f"{path} has {size} bytes: taken as what is at {address}")
        return side
    guest = app.guest(path if os.sep in path else os.path.join(".", path))
    return Side(path, guest.memory, guest.resolve(address, size).address)


def _size_of(sides: list[Side], length: int | None) -> int:
    if length is not None:
        return length
    rooms = [side.room for side in sides if side.room is not None]
    return min(rooms) if rooms else DEFAULT_LENGTH


def _whole(app: AppContext, first: str, second: str, length: int | None) -> Comparison:
    """Everything that both have."""
    if length is not None:
        raise UsageError("a length without an address", hint="give ADDR and LEN, or neither")
    names = (first, second)
    guests = [None if file_operand(app, name) else app.guest(name) for name in names]
    sides = [
        Side(name, mine.memory if mine else _image(app, name, other))
        for name, mine, other in zip(names, guests, reversed(guests), strict=True)
    ]
    spans = common_spans(sides[0].memory, sides[1].memory)
    _note_uncommon(app, sides, sum(span.size for span in spans))
    return Comparison(sides[0], sides[1], spans)


def _image(app: AppContext, path: str, other: Guest | None) -> PhysicalMemory:
    """A file compared as a whole: a copy of the other's RAM file, or a RAM file of its own."""
    memory = RamFile(path, [], name=path, is_live=False)
    theirs = other.memory if other else None
    if isinstance(theirs, RamFile) and memory.file.identity.size == theirs.file.identity.size:
        memory.segments = theirs.segments
        return memory
    return app.guest(path if os.sep in path else os.path.join(".", path)).memory


def _note_uncommon(app: AppContext, sides: list[Side], common: int) -> None:
    for side in sides:
        size = sum(segment.size for segment in side.memory.segments)
        if size > common:
            app.note(f"{format_size(size - common)} are in {side.name} alone and not compared")
