# SPDX-License-Identifier: MIT
"""The console on which tables for people are printed."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console

#: columns where there is no terminal to be fitted: nothing is folded
WIDE = 250

_AT_END = re.compile(" +$", re.MULTILINE)


class TableConsole(Console):
    """In a pipe it folds nothing, and leaves out the blanks by which rich fills up lines."""

    def __init__(self) -> None:
        super().__init__(highlight=False)
        self.is_piped = not self.is_terminal
        if self.is_piped:
            self.width = WIDE

    def _render_buffer(self, buffer: Any) -> str:
        text = super()._render_buffer(buffer)
        return _AT_END.sub("", text) if self.is_piped else text
