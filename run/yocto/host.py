# SPDX-License-Identifier: MIT
"""What a Yocto build wants of a host, looked at before it begins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from run.base.config import CHECKOUT
from run.base.errors import HostError
from run.steps.steps import Steps

GIB = 1 << 30

#: bytes that image, QEMU, sources and finished tasks take together
DISK_NEEDED = 60 * GIB

#: processor hours of a build from nothing, roughly
CORE_HOURS = 30


def check_user() -> None:
    """bitbake refuses root; better to say so at once than after the download."""
    if os.geteuid() == 0:
        raise HostError(
            "bitbake does not run as root",
            hint="be another user, or 'python3 run --container build yocto'",
        )


def check_locale() -> None:
    """bitbake exits without it."""
    try:
        known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return
    if not {"en_US.utf8", "en_US.UTF-8"} & set(known.split()):
        raise HostError(
            "bitbake wants the locale en_US.UTF-8, which is not generated",
            hint="as root: echo en_US.UTF-8 UTF-8 >> /etc/locale.gen && locale-gen",
        )


def check_room(folder: Path, *, present: bool) -> None:
    """Refuse to begin what the disk cannot hold.

    :param present: something was built there before, so most of it is there already
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED and not present:
        raise HostError(
            f"{folder} has {free / GIB:.0f} GiB free, a Yocto build takes {DISK_NEEDED // GIB}",
            hint="name a folder with more by --build-dir; the cache follows XDG_CACHE_HOME",
        )


def announcement(folder: Path, jobs: int, *, present: bool) -> str:
    """What is about to happen, how long it takes and how much room."""
    if present:
        return f"Yocto build in {folder}: goes on where it was; only what changed is built"
    hours = max(1, round(CORE_HOURS / jobs))
    return (
        f"Yocto build in {folder}: about {DISK_NEEDED // GIB} GiB and, with {jobs} processors,"
        f" {hours} hours the first time; it can be interrupted and goes on where it was"
    )


def install_kas(steps: Steps) -> None:
    """kas in .venv, unless it is there."""
    if (Path(sys.prefix) / "bin" / "kas").exists():
        return
    with steps.step("yocto: install kas") as step:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        step.run([*pip, "install", "--editable", f"{CHECKOUT}[yocto]"])
