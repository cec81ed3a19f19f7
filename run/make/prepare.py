# SPDX-License-Identifier: MIT
"""Brings the builds that a command needs into the build folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from run.base.config import FLAVOURS, Paths
from run.base.errors import RunError, UsageError
from run.base.locks import exclusive
from run.guest.choice import DEFAULT, DebianKernel, KernelChoice, OwnKernel
from run.host.install import Policy, require
from run.steps.artifacts import GuestImage, QemuInstall
from run.steps.steps import Steps

#: what can be built, in the order in which it is
ALL = ("guest", "qemu")

#: kernels that tests have besides the usual one and its flavours: the next release's, which must be
#: there, and the newest there is
TRIXIE, BACKPORT = DebianKernel("trixie"), DebianKernel("trixie-backports")


def default_jobs() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Request:
    """What to build and how.

    :param jobs: compilers at once
    :param force: compile anew what is in the cache already
    :param qemu_source: what is built instead of Debian trixie's package, as `build` takes it
    :param mirror: URL of a Debian mirror instead of the host's own
    :param policy: when missing system packages are installed
    :param kernel: the guest's
    :param sanitize: QEMU whose NTB port has sanitizers in it
    """

    what: Sequence[str] = ALL
    jobs: int = field(default_factory=default_jobs)
    force: bool = False
    qemu_source: str | None = None
    mirror: str | None = None
    policy: Policy = Policy.ROOT
    kernel: KernelChoice = DEFAULT
    sanitize: bool = False


def make(steps: Steps, paths: Paths, request: Request) -> list[QemuInstall | GuestImage]:
    """Build what is asked for, or take it from the cache; gives what stands in the build folder."""
    require(steps, *request.what, policy=request.policy)
    waiting = f"waiting for another process that builds in {paths.build} ..."
    with exclusive(paths.build / ".lock", on_wait=lambda: steps.say(waiting)):
        return [_BUILDERS[what](steps, paths, request) for what in ALL if what in request.what]


def own_modules(steps: Steps, paths: Paths, folder: Path, request: Request) -> list[Path]:
    """Build the user's own modules in `folder` for the guests' kernel; gives their files.

    :param request: the guest of that kernel
    :raises RunError: there is no such folder, or nothing in it can be built
    """
    from run.make import headers, module

    if not folder.is_dir():
        raise UsageError(
            f"{folder}: there is no such folder", hint="'python3 run module new NAME' makes one"
        )
    (image,) = make(steps, paths, replace(request, what=["guest"]))
    assert isinstance(image, GuestImage)
    found = headers.prepare(steps, paths, request.kernel, image.release, request.mirror)
    if found.release != image.release:
        raise RunError(
            f"Debian's headers are of Linux {found.release}, the guest has {image.release}",
            hint="'python3 run build guest' brings the newer one",
        )
    return module.build(steps, found, Path(image.vmlinux), folder, request.jobs)


def make_for_tests(steps: Steps, paths: Paths, request: Request) -> None:
    """The same, for tests: a QEMU with sanitizers in the device, and guests with other kernels."""
    make(steps, paths, request)
    for flavour in FLAVOURS[1:]:
        make(steps, paths, replace(request, what=["guest"], kernel=DebianKernel(flavour=flavour)))
    make(steps, paths, replace(request, what=["guest"], kernel=TRIXIE))
    try:
        make(steps, paths, replace(request, what=["guest"], kernel=BACKPORT))
    except RunError as error:
        steps.say(f"tests go without {BACKPORT}, which cannot be had today: {error}")
    make(steps, paths.sanitized, replace(request, what=["qemu"], sanitize=True))


def _guest(steps: Steps, paths: Paths, request: Request) -> GuestImage:
    # imported late: a command that only asks whether all is there must start fast
    from run.guest.build import build_guest
    from run.guest.own import build_own

    if isinstance(request.kernel, OwnKernel):
        return build_own(steps, paths, request.kernel, force=request.force)
    return build_guest(
        steps,
        paths,
        jobs=request.jobs,
        mirror=request.mirror,
        force=request.force,
        choice=request.kernel,
    )


def _qemu(steps: Steps, paths: Paths, request: Request) -> QemuInstall:
    from run.qemu.build import build_qemu

    return build_qemu(
        steps,
        paths,
        jobs=request.jobs,
        source=request.qemu_source,
        mirror=request.mirror,
        force=request.force,
        sanitize=request.sanitize,
    )


_BUILDERS: dict[str, Callable[[Steps, Paths, Request], QemuInstall | GuestImage]] = {
    "guest": _guest,
    "qemu": _qemu,
}
