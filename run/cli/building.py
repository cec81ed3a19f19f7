# SPDX-License-Identifier: MIT
"""Options that every command shares which may build or install something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any, TypeVar

import click

from run.base.config import DEFAULT_FLAVOUR, FLAVOURS
from run.base.errors import UsageError
from run.guest.choice import SUITE, DebianKernel, KernelChoice, OwnKernel, parse_kernel
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


def kernel_options(function: F) -> F:
    """``--kernel``, ``--modules``, ``--initrd`` and ``--kernel-flavour``, for `kernel_choice`."""
    kernel = click.option(
        "--kernel",
        metavar="FILE|DIR|debian:SUITE[/VERSION][:FLAVOUR]",
        help="The guests' kernel: a bzImage, the folder in which one was built, or one of"
        f" Debian's.  [default: debian:{SUITE}]",
    )
    modules = click.option(
        "--modules",
        metavar="DIR",
        help="Where the modules of --kernel were installed.  [default: those in its folder]",
    )
    initrd = click.option(
        "--initrd", metavar="FILE", help="A first root file system of your own for --kernel."
    )
    flavour = click.option(
        "--kernel-flavour",
        type=click.Choice(FLAVOURS),
        help=f"The same as --kernel=debian:{SUITE}:FLAVOUR.  [default: {DEFAULT_FLAVOUR}]",
    )
    return kernel(modules(initrd(flavour(function))))


def kernel_choice(given: Mapping[str, Any]) -> KernelChoice:
    """The kernel that these options name; raises UsageError where they contradict each other."""
    kernel, flavour = given["kernel"], given["kernel_flavour"]
    asked = [f"--{name}" for name in ("kernel", "modules", "initrd") if given[name]]
    if given["image"] == "yocto" and (asked or flavour not in (None, DEFAULT_FLAVOUR)):
        option = asked[0] if asked else "--kernel-flavour"
        raise not_for_yocto(option)
    if kernel is None:
        if asked:
            raise UsageError(
                f"{asked[0]} goes with a kernel of your own",
                hint="name its bzImage, or the folder in which it was built, with --kernel",
            )
        return DebianKernel(flavour=flavour or DEFAULT_FLAVOUR)
    if flavour is not None:
        raise UsageError(
            f"--kernel={kernel} and --kernel-flavour={flavour} contradict each other",
            hint=f"--kernel-flavour={flavour} is --kernel=debian:{SUITE}:{flavour}",
        )
    return parse_kernel(kernel, modules=given["modules"], initrd=given["initrd"])


def option_of(image: str) -> str:
    """How to say `image` in the next command, with a blank in front."""
    return "" if image == IMAGES[0] else f" --image={image}"


def not_for_yocto(option: str) -> UsageError:
    """What is said of an option that names a kernel, where the image has its own."""
    return UsageError(
        f"{option} is for guests of the quick build, not for --image=yocto",
        hint="yocto_files has the kernel of that image",
    )


def kernel_option(choice: KernelChoice) -> str:
    """How to say `choice` in the next command, with a blank in front."""
    if choice.is_default:
        return ""
    more = ""
    if isinstance(choice, OwnKernel):
        more += f" --modules={quote(str(choice.modules))}" if choice.modules else ""
        more += f" --initrd={quote(str(choice.initrd))}" if choice.initrd else ""
    return f" --kernel={quote(str(choice))}{more}"


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
