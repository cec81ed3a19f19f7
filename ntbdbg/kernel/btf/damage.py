# SPDX-License-Identifier: MIT
"""Damage that hides types: a wrong length puts the pass over a type section out of step.

What follows is then taken for types that it is not, all of known kinds, so nobody notices until
a type is missed. Looked for only then: it takes 0.15 s for a kernel's 100,000 types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ntbdbg.kernel.btf.format import COMPOUND, TYPE_WORDS, Kind, kind_of, length_of

Begins = Callable[[int], bool]
"""Whether a name begins at this offset."""

_LEADING = frozenset(
    {Kind.PTR, Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.FUNC, Kind.VAR}
)
_MEMBER_WORDS = 3


def first_wrong(
    words: Sequence[int], positions: Sequence[int], begins: Begins, count: int
) -> int | None:
    """Index of the first type that can be none, None if all can be types.

    :param count: types there are, those of the base and ``void`` too
    """
    for index, position in enumerate(positions):
        name, information, value = words[position : position + TYPE_WORDS]
        kind = kind_of(information)
        if not begins(name) or (kind in _LEADING and value >= count):
            return index
        if kind in COMPOUND:
            start = position + TYPE_WORDS
            items = words[start : start + length_of(information) * _MEMBER_WORDS]
            numbers, names = items[1::_MEMBER_WORDS], items[::_MEMBER_WORDS]
            if max(numbers, default=0) >= count or not all(map(begins, names)):
                return index
    return None
