# SPDX-License-Identifier: MIT
"""Options that every command shares which may build or install something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from run.base.config import DEFAULT_FLAVOUR, FLAVOURS
from run.make.prepare import default_jobs

F = TypeVar("F", bound=Callable[..., Any])


#: what guests are made of: ours from Debian's packages, or a Yocto image
IMAGES = ("quick", "yocto")


def image_option(function: F) -> F:
    """``--image``, as ``image``."""
    return click.option(
        "--image",
        type=click.Choice(IMAGES),
        default=IMAGES[0],
        show_default=True,
        help="Which guest, and the QEMU that belongs to it.",
    )(function)


def flavour_option(function: F) -> F:
    """``--kernel-flavour``, as ``kernel_flavour``."""
    return click.option(
        "--kernel-flavour",
        type=click.Choice(FLAVOURS),
        default=DEFAULT_FLAVOUR,
        show_default=True,
        help="Which of Debian's kernels the guest has.",
    )(function)


def option_of(image: str) -> str:
    """How to say `image` in the next command, with a blank in front."""
    return "" if image == IMAGES[0] else f" --image={image}"


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
