# SPDX-License-Identifier: MIT
"""Where each type of a BTF begins: made in one pass, kept as bytes for a cache on disk.

A type's number is its place in the section, and its length depends on its kind, so nobody
can find type 1,000 without having passed the 999 before it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.format import (
    ITEM_WORDS,
    KINDS,
    MAX_TYPES,
    TYPE_WORDS,
    WORDS,
    Kind,
    KindLayout,
)

_HEAD = struct.Struct("=8sIII")
_MAGIC = b"ntbBTF3\n"


class Index(NamedTuple):
    """The types of one type section, in order; without those of its base.

    :ivar positions: first word of each type
    :ivar names: name of each type, as an offset into the strings
    :ivar partial: why it ends before the section does, None if it does not
    """

    positions: array[int] | memoryview
    names: array[int] | memoryview
    partial: str | None

    def to_bytes(self, data: bytes) -> bytes:
        """What `from_bytes` takes, for the very BTF `data` it was made from.

        :raises KernelError: the index is partial; it is not worth keeping
        """
        if self.partial is not None:
            raise KernelError(f"an index that is partial is not kept: {self.partial}")
        body = self.positions.tobytes() + self.names.tobytes()
        return _HEAD.pack(_MAGIC, len(self.positions), self.positions.itemsize, len(data)) + body

    @classmethod
    def from_bytes(cls, saved: bytes, data: bytes) -> Index:
        """The index `saved` of the BTF `data`.

        Whoever keeps it makes sure that it is whole and of these `data`; here only lengths are
        compared. A wrong one leads to wrong types, never beyond them.

        :raises KernelError: it cannot be
        """
        if len(saved) >= _HEAD.size:
            magic, count, size, length = _HEAD.unpack_from(saved)
            middle = _HEAD.size + count * size
            fits = size == array("I").itemsize and len(saved) == middle + count * size
            if magic == _MAGIC and fits:
                if length != len(data):
                    raise KernelError("the BTF index belongs to another kernel")
                body = memoryview(saved)[_HEAD.size :].cast("I")
                return cls(body[:count], body[count:], None)
        raise KernelError("the BTF index is damaged", hint="delete it, it is made anew")


def make_index(words: Sequence[int], first_id: int, layouts: Mapping[int, KindLayout]) -> Index:
    """Pass over the type section `words`; about 0.05 s for the 100,000 types of a kernel.

    :param first_id: number of the first type in it, for messages
    :param layouts: how long types of kinds are that this version does not know
    """
    lengths, per_item = _tables(layouts)
    found: list[int] = []
    position, end, partial = 0, len(words), None
    # The one hot loop of this room: no calls but one, no look-ups of attributes.
    append = found.append
    try:
        for number in range(first_id, MAX_TYPES):
            if position >= end:
                break
            information = words[position + 1]
            kind = information >> 24 & 0x7F
            length = lengths[kind]
            if not length:
                partial = f"type {number} is of unknown kind {kind}"
                break
            append(position)
            position += length + (information & 0xFFFFFF) * per_item[kind]
        else:
            partial = f"it has more than {MAX_TYPES} types" if position < end else None
    except IndexError:
        partial = f"type {first_id + len(found)} is cut short"
    if position > end:
        found.pop()
        partial = f"type {first_id + len(found)} runs beyond the type section"
    return Index(array("I", found), _names(words, found), partial)


def _tables(layouts: Mapping[int, KindLayout]) -> tuple[list[int], list[int]]:
    """By kind: words without items (0 for an unknown kind), words for each item."""
    lengths, per_item = [0] * KINDS, [0] * KINDS
    for number, (words, item_words) in layouts.items():
        lengths[number], per_item[number] = TYPE_WORDS + words, item_words
    for kind in set(Kind) - {Kind.VOID, Kind.UNKNOWN}:
        lengths[kind] = TYPE_WORDS + WORDS.get(kind, 0)
        # Of FUNC the length is its linkage; it has no items, as many have not.
        per_item[kind] = ITEM_WORDS.get(kind, 0)
    lengths[Kind.VOID] = 0
    return lengths, per_item


def _names(words: Sequence[int], positions: list[int]) -> array[int]:
    if len(positions) < 2:  # itemgetter of one item gives no tuple
        return array("I", [words[position] for position in positions])
    return array("I", itemgetter(*positions)(words))
