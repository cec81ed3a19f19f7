# SPDX-License-Identifier: MIT
"""The one way to make a rich console."""

from __future__ import annotations

import functools
import re
from typing import IO, Any

from rich.console import Console

PIPE_WIDTH = 200
"""Columns where no terminal limits them: tables in a pipe should not wrap."""

_AT_END = re.compile(" +$", re.MULTILINE)


class _WholeConsole(Console):
    """A console that cuts nothing off: a terminal wraps a long line, which can then be copied.

    It leaves it to the command line what a reader that left early means.
    """

    print = functools.partialmethod(Console.print, crop=False)

    def _render_buffer(self, buffer: Any) -> str:
        """Without the blanks by which rich fills up lines, where there are no colours."""
        text = super()._render_buffer(buffer)
        return _AT_END.sub("", text) if self.no_color else text

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with 1


def make_console(file: IO[str], *, color: bool, width: int | None = None) -> Console:
    """A console on `file` with colours or without a single escape code.

    :param width: columns; by default the terminal's, or `PIPE_WIDTH` in a pipe
    """
    if width is None and not file.isatty():
        width = PIPE_WIDTH
    return _WholeConsole(
        file=file,
        width=width,
        force_terminal=color or None,
        color_system="auto" if color else None,
        no_color=not color,
        highlight=False,
        emoji=False,
        markup=False,
    )
