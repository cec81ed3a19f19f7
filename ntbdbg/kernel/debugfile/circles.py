# SPDX-License-Identifier: MIT
"""Links between types that a reader of debug information may not follow.

BTF is the guest's word. A structure that holds itself, a typedef of itself, types 10,000 deep:
debuggers follow all of that without a count. In C only a pointer, or a function's parameter, may
lead back, and only to a structure or union with a name: there readers stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.format import COMPOUND, QUALIFIERS
from ntbdbg.kernel.btf.reader import MAX_DEPTH, Btf, Kind

DEEPEST = 128
"""Types in a row; Linux has at most about 40."""

Link = tuple[int, int]

_POINTING = frozenset({Kind.PTR, Kind.FUNC_PROTO})
_SAME = QUALIFIERS | {Kind.TYPEDEF, Kind.ARRAY}
_NEW, _OPEN = -1, 0


def bad_links(btf: Btf) -> set[Link]:
    """Of the types of `btf` itself: (from, to) where to go on leads in a circle, or nowhere.

    Without these links no chain of types is longer than `DEEPEST`.
    """
    walker = _Walker(btf)
    for number in btf.ids():
        if walker.height(number) == _NEW:
            walker.walk(number)
    return walker.bad


class _Walker:
    """Goes down from type to type; the height of one is how far it goes down from there."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._heights = [_NEW] * (len(btf) - btf.first_id)
        self._stops: dict[int, bool] = {}
        self.bad: set[Link] = set()

    def height(self, number: int) -> int:
        """1 or more once it is known, `_OPEN` while it is walked through."""
        index = number - self._btf.first_id
        return 1 if index < 0 else self._heights[index]

    def walk(self, start: int) -> None:
        """Find the height of `start` and of all that it is made of."""
        stack = [self._enter(start)]
        while stack:
            number, links, left = stack[-1]
            if not left:
                stack.pop()
                self._close(number, links)
                continue
            target = left.pop()
            if target >= len(self._btf) or self.height(target) == _OPEN:
                self.bad.add((number, target))
            elif self.height(target) == _NEW:
                stack.append(self._enter(target))

    def _enter(self, number: int) -> tuple[int, Sequence[int], list[int]]:
        self._heights[number - self._btf.first_id] = _OPEN
        links = self._links(number)
        return number, links, list(links)

    def _close(self, number: int, links: Sequence[int]) -> None:
        height = 1
        for target in links:
            if (number, target) in self.bad:
                continue
            below = self.height(target)
            if below >= DEEPEST:
                self.bad.add((number, target))
            elif below >= height:
                height = below + 1
        self._heights[number - self._btf.first_id] = height

    def _links(self, number: int) -> Sequence[int]:
        """Where a reader goes on that wants to know all about a type."""
        found = self._btf.references(number)
        if found and self._btf.kind(number) in _POINTING:
            return [target for target in found if not self._is_stop(target)]
        return found

    def _is_stop(self, number: int) -> bool:
        """Whether it is a structure with a name, or arrays of one: readers of pointers stop."""
        if number not in self._stops:
            self._stops[number] = self._leads_to_named(number)
        return self._stops[number]

    def _leads_to_named(self, number: int) -> bool:
        btf = self._btf
        for _ in range(MAX_DEPTH):
            try:
                kind = btf.kind(number)
            except KernelError:  # there is no such type
                return False
            if kind not in _SAME:
                return kind in COMPOUND and btf.is_named(number)
            number = btf.references(number)[0]
        return False
