# SPDX-License-Identifier: MIT
"""Leaving out repeated lines of a dump, by the rule of ``xxd -a``.

A run of up to two equal lines is printed; a longer one is its first line and ``*``. At the
end of the dump the last line is printed too, so that the dump says where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

Piece = tuple[int, bytes] | None
"""Lines to print, from an address on; None for the ``*``."""

RunFinder = Callable[[bytes, int, bool], list[tuple[int, int]]]
"""`(data, line, any_repeat)` → runs `(first line, line after the last)` worth squeezing: of
three lines or more, and of any length at the start and end of `data`."""


def squeeze(
    chunks: Iterable[tuple[int, bytes]], line: int, any_repeat: bool, runs: RunFinder
) -> Iterator[Piece]:
    """Cut chunks into what is printed.

    :param line: bytes per line; chunks hold whole lines, but for the end of the last one
    :param any_repeat: squeeze every repeated line, not only zeros
    """
    held: Run | None = None
    for address, data in chunks:
        done = 0
        for first, last in runs(data[: len(data) // line * line], line, any_repeat):
            run = Run(address + first * line, data[first * line : (first + 1) * line], last - first)
            if held and first == 0 and run.content == held.content:
                run = Run(held.address, held.content, held.length + run.length)
            elif held:
                yield from held.pieces(final=False)
            if first > done:
                yield address + done * line, data[done * line : first * line]
            held, done = run, last
        if done * line < len(data):
            if held:
                yield from held.pieces(final=False)
                held = None
            yield address + done * line, data[done * line :]
    if held:
        yield from held.pieces(final=True)


class Run(NamedTuple):
    """`length` equal lines from `address` on."""

    address: int
    content: bytes
    length: int

    def pieces(self, *, final: bool) -> Iterator[Piece]:
        """What is printed of it; `final` if the dump ends here."""
        if self.length < 3 or (final and self.length == 3):
            yield self.address, self.content * self.length
            return
        yield self.address, self.content
        yield None
        if final:
            yield self.address + (self.length - 1) * len(self.content), self.content


def find_runs(data: bytes, line: int, any_repeat: bool) -> list[tuple[int, int]]:
    """Runs of `data` by plain Python; see `RunFinder`."""
    count = len(data) // line
    zeros = bytes(line)
    runs = []
    first = 0
    while first < count:
        content = data[first * line : (first + 1) * line]
        last = first + 1
        if any_repeat or content == zeros:
            while last < count and data[last * line : (last + 1) * line] == content:
                last += 1
            if last - first >= 3 or first == 0 or last == count:
                runs.append((first, last))
        first = last
    return runs
