# SPDX-License-Identifier: MIT
"""Options that every command shares which may build or install something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from run.builds import default_jobs

F = TypeVar("F", bound=Callable[..., Any])


def install_options(function: F) -> F:
    """``--yes`` and ``--no-install``, for `Policy.of`."""
    yes = click.option(
        "--yes", is_flag=True, help="Install missing system packages by sudo if need be."
    )
    never = click.option("--no-install", is_flag=True, help="Never install system packages.")
    return yes(never(function))


def build_options(function: F) -> F:
    """``--build-dir``, ``--jobs`` and ``--debian-mirror``."""
    folder = click.option(
        "--build-dir", metavar="DIR", help="Folder for builds.  [default: build, in the checkout]"
    )
    jobs = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=default_jobs,
        metavar="N",
        help="Compilers at once.  [default: one for each processor]",
    )
    mirror = click.option(
        "--debian-mirror",
        metavar="URL",
        help="Debian mirror.  [default: the one in this host's apt configuration]",
    )
    return folder(jobs(mirror(function)))
