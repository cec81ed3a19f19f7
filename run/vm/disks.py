# SPDX-License-Identifier: MIT
"""Disks of guests: copies of a root file system, gone with the lab.

A copy is large, so it lies beside the image in the build folder; the lab's own folder has a link
to it, by which whoever cleans up finds it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from run.base.errors import HostError, RunError
from run.vm.plan import LabPaths


def make(paths: LabPaths, guest: str, rootfs: Path, folder: Path) -> None:
    """A copy of `rootfs` for `guest`, sparse where it is; raises HostError without room."""
    remove(paths, guest)
    target = folder / f"{paths.tag}-{guest}.ext4"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(rootfs, folder)
        argv: list[str | Path] = ["cp", "--reflink=auto", "--sparse=always", "--", rootfs, target]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            target.unlink(missing_ok=True)
            raise RunError(f"cannot copy the disk of {guest}: {done.stderr.strip()}")
        target.chmod(0o600)
        paths.disk(guest).symlink_to(target)
    except OSError as error:
        raise RunError(f"cannot make the disk of {guest}: {error}") from error


def remove(paths: LabPaths, guest: str) -> None:
    """Remove the copy and the link to it, if there are any."""
    link = paths.disk(guest)
    with suppress(OSError):
        target = link.readlink()
        if target.name.startswith(paths.tag) and target.stat().st_uid == os.getuid():
            target.unlink()
    link.unlink(missing_ok=True)


def _check_room(rootfs: Path, folder: Path) -> None:
    needed = rootfs.stat().st_blocks * 512
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise HostError(
            f"{folder} has {free >> 20} MiB free, a guest's disk takes {needed >> 20}",
            hint="free some; guests of other labs have their disks there, too",
        )
