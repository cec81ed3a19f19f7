# SPDX-License-Identifier: MIT
"""Plain tables: bold titles, no borders, two blanks between columns; whole numbers at any width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

GAP = 2
INDENT = 4
LEAST_PROSE = 24
"""Columns below which a text is not folded but goes below its row."""


def whole_line(text: str) -> Text:
    """A line that a narrow terminal wraps by itself, so that a path can be copied."""
    return Text(text, no_wrap=True, overflow="ignore")


class PlainTable(Table):
    """A table whose last columns go below each row, under their titles, where they do not fit.

    :param prose: the last column is text, which may be folded between words
    """

    def __init__(self, *titles: str, right: Iterable[str] = (), prose: bool = True) -> None:
        super().__init__(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        self._prose = prose
        self._titles = list(titles)
        self._rows_of_text: list[list[list[Text]]] = []
        for title in titles:
            folds = prose and title == titles[-1]
            justify = "right" if title in right else "left"
            self.add_column(
                title,
                justify=justify,  # type: ignore[arg-type]
                no_wrap=not folds,
                overflow="fold",
            )

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of texts; a cell may have several lines."""
        super().add_row(*cells, **options)
        texts = [cell if isinstance(cell, Text) else Text(cell or "") for cell in cells]
        self._rows_of_text.append([list(text.split("\n")) for text in texts])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self._fitting(options.max_width)
        folds = sum(self._widths()) + GAP * (kept - 1) > options.max_width
        if kept == len(self._titles) and folds:
            yield from super().__rich_console__(console, options)
        else:
            # A fifth of the time of rich's own way: guests have thousands of tasks.
            for block in self._blocks(kept):
                yield from block

    def blocks(self, width: int) -> Iterator[list[Text]]:
        """The lines of the titles, then those of each row, at `width` columns."""
        return self._blocks(self._fitting(width))

    def _fitting(self, width: int) -> int:
        """How many columns fit beside each other."""
        needs = self._widths()
        if self._prose:
            needs[-1] = min(needs[-1], max(LEAST_PROSE, self._longest_word()))
        count, room = 0, width
        for need in needs:
            room -= need
            if room < 0:
                break
            count, room = count + 1, room - GAP
        return max(1, count)

    def _widths(self) -> list[int]:
        cells = [[len(title)] for title in self._titles]
        for row in self._rows_of_text:
            for column, lines in enumerate(row):
                cells[column] += [line.cell_len for line in lines]
        return [max(lengths) for lengths in cells]

    def _longest_word(self) -> int:
        lines = (line for row in self._rows_of_text for line in row[-1])
        words = (word for line in lines for word in line.plain.split())
        return max(map(len, words), default=0)

    def _blocks(self, kept: int) -> Iterator[list[Text]]:
        """The same where the first `kept` columns are beside each other."""
        widths = self._widths()[:kept]
        titles = [[Text(title, style="bold")] for title in self._titles[:kept]]
        yield [self._line(titles, widths, 0)]
        for row in self._rows_of_text:
            height = max(len(lines) for lines in row[:kept])
            block = [self._line(row[:kept], widths, number) for number in range(height)]
            for title, lines in zip(self._titles[kept:], row[kept:], strict=True):
                block += _below(title, lines)
            yield block

    def _line(self, row: Sequence[Sequence[Text]], widths: Sequence[int], number: int) -> Text:
        """One line of the columns that are beside each other."""
        found = whole_line("")
        for column, (lines, width) in enumerate(zip(row, widths, strict=True)):
            cell = lines[number] if number < len(lines) else Text()
            blanks = " " * (width - cell.cell_len)
            is_right = self.columns[column].justify == "right"
            found.append_text(Text(blanks) + cell if is_right else cell + Text(blanks))
            found.append(" " * GAP)
        found.rstrip()
        return found


def _below(title: str, lines: Sequence[Text]) -> Iterator[Text]:
    """A cell on lines of its own, where there is something in it."""
    if all(line.plain.strip() in ("", "-") for line in lines):
        return
    for line in lines:
        yield whole_line(" " * INDENT + f"{title.lower()} ").append_text(line)


def plain_table(*titles: str, right: Iterable[str] = (), last_folds: bool = True) -> PlainTable:
    """A table with these columns; those named in `right` are right-aligned.

    :param last_folds: the last column is text, folded where the line is too narrow
    """
    return PlainTable(*titles, right=right, prose=last_folds)


def facts_table(facts: Iterable[tuple[str | Text, str | Text]]) -> Table:
    """Names and what there is to say of each."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, text)
    return table
