# SPDX-License-Identifier: MIT
"""Lines of the link's story on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.render.events import Line


def write_line(app: AppContext, line: Line, mark: str = "") -> None:
    """Print a line of the story, coloured where that is wanted."""
    if app.color:
        app.console().print(line.styled(mark))
    else:
        app.write(line.plain(mark))
