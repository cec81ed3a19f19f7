# SPDX-License-Identifier: MIT
"""Pictures of renderables, for golden tests."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console


def shown(renderable: Any, width: int = 80, height: int = 24) -> str:
    """What a terminal without colours shows, trailing blanks cut."""
    file = io.StringIO()
    Console(file=file, width=width, height=height, color_system=None, markup=False).print(
        renderable
    )
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
