# SPDX-License-Identifier: MIT
"""`build yocto`: repositories by kas, image and QEMU by bitbake, and a note of what they made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from run.base.config import Paths
from run.base.locks import exclusive
from run.host.install import Policy, require
from run.steps.artifacts import GuestImage, QemuInstall
from run.steps.steps import Step, Steps
from run.yocto import host
from run.yocto.collect import record_image, record_qemu
from run.yocto.layout import Layout, build_argv, kas

PARTS = ("image", "qemu")

_RECORDS: dict[str, type[GuestImage | QemuInstall]] = {"image": GuestImage, "qemu": QemuInstall}


def build_yocto(
    steps: Steps, paths: Paths, parts: Sequence[str], *, jobs: int, policy: Policy
) -> list[QemuInstall | GuestImage]:
    """Build `parts` of `PARTS`; what is built already is not built again.

    :raises HostError: root, no locale, no room, packages missing
    """
    layout = Layout(paths)
    check_host(steps, layout, policy)
    present = layout.deploy.exists()
    host.check_room(layout.work, present=present)
    steps.say(host.announcement(layout.work, jobs, present=present))
    with alone(steps, layout):
        checkout(steps, layout)
        for part in parts:  # what stood for the former build is not what is there from now on
            _RECORDS[part].path(layout.installed.build).unlink(missing_ok=True)
        with steps.step("yocto: bitbake") as step:
            run_kas(step, layout, build_argv(list(parts)), jobs=jobs)
        made: list[QemuInstall | GuestImage] = []
        if "image" in parts:
            made.append(record_image(layout))
        if "qemu" in parts:
            made.append(record_qemu(layout))
    return made


def check_host(steps: Steps, layout: Layout, policy: Policy) -> None:
    """Raise HostError for whatever a Yocto build could not do without."""
    host.check_user()
    require(steps, "yocto", policy=policy)
    host.check_locale()
    host.install_kas(steps)


def checkout(steps: Steps, layout: Layout) -> None:
    """The repositories at their commits; goes on where an interrupted one was."""
    with steps.step("yocto: repositories") as step:
        run_kas(step, layout, kas("checkout"))


def run_kas(step: Step, layout: Layout, argv: Sequence[str], *, jobs: int | None = None) -> str:
    """Run kas with the environment of `layout`; gives its output."""
    layout.build.mkdir(parents=True, exist_ok=True)
    environ = layout.environ()
    if jobs is not None:
        environ |= {"BB_NUMBER_THREADS": str(jobs), "PARALLEL_MAKE": f"-j{jobs}"}
        environ["BB_ENV_PASSTHROUGH_ADDITIONS"] = "BB_NUMBER_THREADS PARALLEL_MAKE"
    program = Path(sys.prefix) / "bin" / argv[0]
    return step.run([program, *argv[1:]], env=environ, cwd=layout.work)


def alone(steps: Steps, layout: Layout) -> AbstractContextManager[None]:
    """Hold the build: bitbake serves one user at a time."""
    waiting = f"waiting for another process that builds in {layout.work} ..."
    return exclusive(layout.work / ".lock", on_wait=lambda: steps.say(waiting))
