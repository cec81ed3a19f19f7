# SPDX-License-Identifier: MIT
"""Types of the launcher's command-line values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

#: the variable that names a lab, for `ntbdbg` as well
LAB_VARIABLE = "NTBDBG_LAB"

#: both programs' word for it, and the one that labs are started with
LAB_OPTIONS = ("--lab", "--name")


def lab_option(function: F) -> F:
    """``--lab`` (or ``--name``), as ``name``: the lab that a command is about."""
    return click.option(
        *LAB_OPTIONS,
        "name",
        metavar="LAB",
        envvar=LAB_VARIABLE,
        help=f"The lab; default: ${LAB_VARIABLE}, else the only one that runs.",
    )(function)


class Seconds(click.FloatRange):
    """A time that comes to an end: ``nan`` is in no range, and ``inf`` never over."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return number
