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

    :ivar text: every name between line feeds, the first one after one
    :ivar starts: where each name begins in `text`, and where a further one would
    """

    def __init__(self, text: bytes, starts: array[int]) -> None:
        self.text = text
        self.starts = starts

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
        start, following = self.starts[number], self.starts[number + 1]
        return self.text[start : following - 1].decode(ENCODING, ERRORS)

    def search(self, name: str, skip: int = 0) -> Iterator[int]:
        """Numbers of the names that are `name` after their first `skip` bytes, in order."""
        wanted = f"{name}\n".encode(ENCODING, ERRORS)
        at = self.text.find(wanted)
        while at >= 0:
            number = bisect_left(self.starts, at - skip)
            # Names may hold line feeds themselves, so both ends are compared.
            ends = self.starts[number : number + 2].tolist()
            if ends == [at - skip, at + len(wanted)]:
                yield number
            at = self.text.find(wanted, at + 1)
