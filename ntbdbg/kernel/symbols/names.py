# SPDX-License-Identifier: MIT
"""Very many short names in one text, each decoded only when somebody asks for it."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

ENCODING, ERRORS = "utf-8", "surrogateescape"


class Names(Sequence[str]):
    """Names as one text, in which a search is sooner done than a dictionary of them is made.

    :param text: ends in every name between line feeds, the first one after one
    :param starts: where each name begins behind `before`, and where a further one would
    :param before: bytes of `text` that come before and are something else
    """

    def __init__(self, text: bytes, starts: array[int] | memoryview, before: int = 0) -> None:
        self._text, self._before = text, before
        self.starts = starts

    @property
    def text(self) -> bytes:
        """Every name between line feeds."""
        return self._text[self._before :]

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """The text of `names`; gives `names` itself if it is one already."""
        if isinstance(names, Names):
            return names
        text = "\n".join(["", *names, ""])
        raw = text.encode(ENCODING, ERRORS)
        if len(raw) == len(text):
            lengths = [len(name) + 1 for name in names]
        else:
            lengths = [len(name.encode(ENCODING, ERRORS)) + 1 for name in names]
        return cls(raw, array("I", accumulate(lengths, initial=1)))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        number = range(len(self))[index]
        start, following = (self._before + at for at in self.starts[number : number + 2])
        return self._text[start : following - 1].decode(ENCODING, ERRORS)

    def search(self, name: str, skip: int = 0) -> Iterator[int]:
        """Numbers of the names that are `name` after their first `skip` bytes, in order."""
        wanted = f"{name}\n".encode(ENCODING, ERRORS)
        at = self._text.find(wanted, self._before)
        while at >= 0:
            start = at - self._before - skip
            number = bisect_left(self.starts, start)
            # Names may hold line feeds themselves, so both ends are compared.
            if self.starts[number : number + 2].tolist() == [start, start + skip + len(wanted)]:
                yield number
            at = self._text.find(wanted, at + 1)
