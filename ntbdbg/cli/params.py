# SPDX-License-Identifier: MIT
"""Types of command-line values that our own grammars parse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ntbdbg.units import parse_number, parse_size


class Parsed(click.ParamType[Any]):
    """A value that `parse` understands; it raises UsageError itself."""

    def __init__(self, name: str, parse: Callable[..., Any], **settings: Any) -> None:
        self.name = name
        self._parse = parse
        self._settings = settings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._parse(value, **self._settings) if isinstance(value, str) else value


class Finite(click.FloatRange):
    """A number in a range; ``nan``, which compares with nothing, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is no number", param, ctx)
        return number


LENGTH = Parsed("length", parse_size, what="length")
"""Bytes, at least one: ``64``, ``0x40``, ``4K``, ``page``."""

COUNT = Parsed("number", parse_size, what="number")
"""At least one, same syntax."""

NUMBER = Parsed("number", parse_number, what="number")
"""Zero or more, same syntax."""
