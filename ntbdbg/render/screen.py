# SPDX-License-Identifier: MIT
"""A screen that fills up: whole blocks of lines, each folded to its width, none cut short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Block = Sequence["Text"]
"""Lines that belong together: the title of a table, or one of its rows."""


class Screen:
    """What is left of a terminal.

    :param width: its columns
    :param left: its lines
    """

    def __init__(self, console: Console, width: int, left: int) -> None:
        self.width = width
        self.left = left
        self._console = console

    def first(self, blocks: Iterable[Block], most: int | None = None) -> Iterator[Text]:
        """The lines of leading blocks, as many as fit.

        :param most: lines to be filled; by default all that are left
        """
        room = self.left if most is None else min(most, self.left)
        for block in blocks:
            lines = self._folded(block)
            room -= len(lines)
            if room < 0:
                return
            yield from self._taken(lines)

    def last(self, title: Block, blocks: Sequence[Block]) -> Iterator[Text]:
        """The title, and of the blocks as many of the last ones as fit below; else nothing."""
        head = self._folded(title)
        room, kept = self.left - len(head), list[list["Text"]]()
        for block in reversed(blocks):
            lines = self._folded(block)
            room -= len(lines)
            if room < 0:
                break
            kept.append(lines)
        if kept:
            yield from self._taken(head)
        for lines in reversed(kept):
            yield from self._taken(lines)

    def _folded(self, block: Block) -> list[Text]:
        return [part for line in block for part in self._fold(line)]

    def _fold(self, line: Text) -> Iterator[Text]:
        """At blanks where there are some; a longer word at the edge."""
        yield from line.wrap(self._console, self.width, overflow="fold", no_wrap=False)

    def _taken(self, lines: Sequence[Text]) -> Iterator[Text]:
        self.left -= len(lines)
        yield from lines
