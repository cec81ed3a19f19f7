# SPDX-License-Identifier: MIT
"""What ``diff`` compares: guests, places in them, RAM files, plain files, windows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import UsageError
from ntbdbg.inspect.diff import Span, common_ram, common_spans
from ntbdbg.lab.address import AddressExpr, split_capture
from ntbdbg.lab.capturelabs import in_capture, is_bare_capture, split_operand
from ntbdbg.lab.where import is_missing, missing
from ntbdbg.memory.formats import sniff
from ntbdbg.memory.ramfile import RamFile
from ntbdbg.memory.segments import Segment, SegmentMap
from ntbdbg.units import format_size, parse_number

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.place import GuestLike, Place
    from ntbdbg.memory.base import PhysicalMemory

DEFAULT_LENGTH = 4096


class Side(NamedTuple):
    """One side of a comparison.

    :ivar name: for headings
    :ivar spot: address of the first byte to compare, None for all there is
    :ivar room: bytes from there on, None if memory alone limits it
    :ivar guest: whose memory it is, None for a file
    :ivar symbol: what was named, None unless that was a kernel symbol
    """

    name: str
    memory: PhysicalMemory
    spot: int | None = None
    room: int | None = None
    guest: GuestLike | None = None
    symbol: str | None = None

    @classmethod
    def of(cls, place: Place) -> Side:
        """A place in a guest."""
        guest = place.guest
        name = f"{place.via} in {guest.name}" if place.via else guest.name
        return cls(name, place.memory, place.address, place.size, guest, place.symbol)


class Comparison(NamedTuple):
    """Two memories and what of them is compared.

    :ivar wanted: bytes that were meant; `spans` lack what is known to be unreadable
    """

    a: Side
    b: Side
    spans: tuple[Span, ...]
    wanted: int


def compare_operands(
    app: AppContext, first: str, second: str, address: str | None, length: int | None
) -> Comparison:
    """``diff A B [ADDR] [LEN]`` without ``--window``.

    :param address: applies to both operands; not with an operand that has its own
    :raises UsageError: the combination makes no sense
    """
    first, second = _like(first, second), _like(second, first)
    words = (first, second)
    own = [_has_spot(app, word) for word in words]
    if address is not None and any(own):
        raise UsageError(
            f"{words[own.index(True)]} has an address of its own, ADDR gives another",
            hint="leave ADDR out; the length alone is --length",
        )
    if address is None and not any(own):
        return _whole(app, first, second, length)
    size = _natural_size(app, words, address) if length is None else length
    sides = [_side(app, word, address, size) for word in words]
    a, b = (side._replace(spot=side.spot or 0) for side in sides)
    assert a.spot is not None
    assert b.spot is not None
    return Comparison(a, b, (Span(a.spot, b.spot, size),), size)


def _like(word: str, other: str) -> str:
    """A capture without a guest means the guest that the other operand is about."""
    if not is_bare_capture(word) or is_bare_capture(other):
        return word
    guest = split_operand(other)[0]
    return f"{word}:{split_capture(guest)[1]}" if os.sep not in split_capture(guest)[1] else word


def plain_file(path: str) -> Side:
    """A file as nothing but bytes, its offsets as addresses."""
    memory = RamFile(path, [], name=path, is_live=False)
    size = memory.file.identity.size
    memory.segments = SegmentMap([Segment(0, size, 0)] if size else [])
    return Side(path, memory, 0, size)


def file_operand(app: AppContext, word: str) -> tuple[str, str | None] | None:
    """Path and offset (None without one) if an operand means a file.

    None if it means a guest, in a capture or not, or a dump.
    """
    if in_capture(word) or word in app.names:
        return None
    if os.sep in word and is_missing(word) and is_missing(word.rpartition(":")[0]):
        raise missing(word)
    head, colon, rest = word.rpartition(":")
    if os.sep in word and (sniff(word) or (colon and sniff(head))):
        return None
    if colon and not os.path.exists(word) and head not in app.names and os.path.exists(head):
        return head, rest
    return (word, None) if os.sep in word or os.path.exists(word) else None


def _has_spot(app: AppContext, word: str) -> bool:
    file = file_operand(app, word)
    return (split_operand(word) if file is None else file)[1] is not None


def _side(app: AppContext, word: str, address: str | None, size: int) -> Side:
    """An operand for which a place is known, by itself or by the other one."""
    file = file_operand(app, word)
    if file is not None:
        return _file_at(app, file[0], address, size) if address else _file_from(*file)
    place = _place(app, word, address, size)
    app.note_place(place, size)
    return Side.of(place)


def _place(app: AppContext, word: str, address: str | None, size: int) -> Place:
    """A place in a guest; raises UsageError if neither operand says where."""
    name, own = split_operand(word)
    expression = address if own is None else own
    if expression is None:
        raise UsageError(
            f"where in {word}? The other operand has an address", hint=f"say {word}:ADDR"
        )
    return app.guest(name).resolve(expression, size)


def _file_from(path: str, offset: str | None) -> Side:
    """A file's bytes from an offset on."""
    side = plain_file(path)
    spot = parse_number(offset, what="file offset") if offset else 0
    return side._replace(spot=spot, room=max(0, (side.room or 0) - spot))


def _file_at(app: AppContext, path: str, address: str, size: int) -> Side:
    """A file for ``A FILE ADDR LEN``: exactly LEN bytes are those bytes, else it is RAM."""
    side = plain_file(path)
    if side.room == size:
        app.note(f"{path} has {size} bytes: taken as what is at {address}")
        return side
    return Side.of(_file_guest(app, path).resolve(address, size))._replace(name=path)


def _file_guest(app: AppContext, path: str) -> Guest:
    return app.guest(path if os.sep in path else os.path.join(".", path))


def _natural_size(app: AppContext, words: Sequence[str], address: str | None) -> int:
    """What is compared without LEN: what both have of a file, a symbol or a window."""
    rooms = [room for room in [_room(app, word, address) for word in words] if room is not None]
    if len(set(rooms)) > 1:
        app.note(f"compared are the {format_size(min(rooms))} that both sides have")
    return min(rooms, default=DEFAULT_LENGTH)


def _room(app: AppContext, word: str, address: str | None) -> int | None:
    """Bytes that an operand has of what was named, None if nobody knows."""
    file = file_operand(app, word)
    if file is None:
        return _place(app, word, address, 1).size
    if address is None:
        return _file_from(*file).room
    if AddressExpr.parse(address, ()).is_physical:
        return None
    return _file_guest(app, file[0]).resolve(address).size


def _whole(app: AppContext, first: str, second: str, length: int | None) -> Comparison:
    """Everything that both have."""
    if length is not None:
        raise UsageError("a length without an address", hint="give ADDR and LEN, or neither")
    names = (first, second)
    guests = [None if file_operand(app, name) else app.guest(name) for name in names]
    sides = [
        Side(name, mine.memory if mine else _image(app, name, other), guest=mine)
        for name, mine, other in zip(names, guests, reversed(guests), strict=True)
    ]
    memories = sides[0].memory, sides[1].memory
    spans = common_spans(*memories)
    _note_uncommon(app, sides, sum(span.size for span in spans))
    return Comparison(sides[0], sides[1], spans, common_ram(*memories))


def _image(app: AppContext, path: str, other: GuestLike | None) -> PhysicalMemory:
    """A file compared as a whole: a copy of the other's RAM file, or a RAM file of its own."""
    memory = RamFile(path, [], name=path, is_live=False)
    theirs = other.memory if other else None
    if isinstance(theirs, RamFile) and memory.file.identity.size == theirs.file.identity.size:
        memory.segments = theirs.segments
        return memory
    return app.guest(path if os.sep in path else os.path.join(".", path)).memory


def _note_uncommon(app: AppContext, sides: list[Side], common: int) -> None:
    for side in sides:
        size = sum(run.size for run in side.memory.readable())
        if size > common:
            app.note(f"{format_size(size - common)} are in {side.name} alone and not compared")
