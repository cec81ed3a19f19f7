# SPDX-License-Identifier: MIT
"""Who holds a lock: whom the kernel names, never whom a file names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ntbdbg.lab.manifest import ProcessRef


def lock_holder(path: Path) -> ProcessRef | None:
    """The process that holds a flock on the file at `path`; None where none is to be seen.

    That of another PID namespace (container) is not.
    """
    try:
        status = path.lstat()
    except OSError:
        return None
    for pid, place in _flocks():
        if place.rpartition(":")[2] == str(status.st_ino):
            with suppress(ProcessLookupError):
                process = ProcessRef.of(pid)
                if place == _place(status) or _has_open(pid, status):
                    return process
    return None


def _flocks() -> Iterator[tuple[int, str]]:
    """Holder and ``major:minor:inode`` of each flock; those who wait for one are left out."""
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[1] == "FLOCK":
                yield int(words[4]), words[5]


def _place(status: os.stat_result) -> str:
    """As /proc/locks has it; btrfs and overlayfs show another device there than stat() does."""
    device = status.st_dev
    return f"{os.major(device):02x}:{os.minor(device):02x}:{status.st_ino}"


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.path.samestat(os.stat(entry.path), wanted):  # noqa: PTH116
                    return True
    return False
