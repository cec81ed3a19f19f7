# SPDX-License-Identifier: MIT
"""Types as C writes them, ``struct kset *[]``, found in BTF: what a table of variables has."""

from __future__ import annotations

import re
from typing import NamedTuple

from ntbdbg.kernel.btf.layout import size_of
from ntbdbg.kernel.btf.reader import Btf, Kind

POINTER_SIZE = 8
MOST_ELEMENTS = 1 << 20

_TAGS = {"struct": (Kind.STRUCT,), "union": (Kind.UNION,), "enum": (Kind.ENUM, Kind.ENUM64)}
_NAMES = (Kind.TYPEDEF, Kind.INT)
_PARTS = re.compile(r"([\w ]*\w)((?: ?\*)*)((?: ?\[[0-9]*\])*)")
_QUALIFIERS = frozenset({"const", "volatile"})


class CType(NamedTuple):
    """A type of BTF, and what was made of it.

    :ivar number: of that type, 0 for ``void``
    :ivar pointers: how many ``*`` follow
    :ivar lengths: of the arrays that these are in, the outermost first; -1 is not told
    """

    number: int
    pointers: int = 0
    lengths: tuple[int, ...] = ()

    def element_size(self, btf: Btf) -> int:
        """Bytes of one element of the array, or of the whole if it is none; 0 if unknown."""
        size = POINTER_SIZE if self.pointers else size_of(btf, self.number)
        for length in self.lengths[1:]:
            size *= max(length, 0)
        return size

    def filled(self, btf: Btf, room: int) -> CType:
        """The same, with as many elements as `room` bytes hold where their number is not told."""
        if not self.lengths or self.lengths[0] >= 0:
            return self
        size = self.element_size(btf)
        count = min(room // size, MOST_ELEMENTS) if size else 0
        return self._replace(lengths=(count, *self.lengths[1:]))


def find_ctype(btf: Btf, text: str) -> CType | None:
    """What C calls `text`, None if `btf` has no such type or it is written in another way."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return None
    number = _base(btf, [word for word in parts[1].split() if word not in _QUALIFIERS])
    lengths = tuple(int(length or -1) for length in re.findall(r"\[([0-9]*)\]", parts[3]))
    return None if number is None else CType(number, parts[2].count("*"), lengths)


def _base(btf: Btf, words: list[str]) -> int | None:
    if words == ["void"]:
        return 0
    kinds: tuple[Kind, ...] = _NAMES
    name = " ".join(words)
    if words and words[0] in _TAGS:
        kinds, name = _TAGS[words[0]], " ".join(words[1:])
    found = (btf.by_name(kind, one) for one in (name, _SPELLINGS.get(name, name)) for kind in kinds)
    return next((number for number in found if number is not None), None)


_SPELLINGS = {
    "bool": "_Bool",
    "unsigned long": "long unsigned int",
    "long": "long int",
    "unsigned short": "short unsigned int",
    "short": "short int",
    "unsigned long long": "long long unsigned int",
    "long long": "long long int",
}
"""What gcc calls them in DWARF, and so pahole in BTF."""
