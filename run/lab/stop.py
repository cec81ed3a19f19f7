# SPDX-License-Identifier: MIT
"""Ending a lab from another process than the one that looks after it."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from ntbdbg.lab.manifest import ProcessRef
from run.base import processes
from run.base.config import INSTALLED
from run.base.deadline import Deadline
from run.base.errors import RunError
from run.lab import leftovers
from run.lab.choose import paths_of, refuse_attached
from run.lab.lab import Say, State
from run.lab.name import HeldError, holder, is_there, take_lock
from run.vm.plan import LabPaths

#: seconds for a launcher to end its guests: those with disks may take 30 to power down
ORDERLY = 45.0

#: seconds in which a holder may come and go between two looks
UNSEEN = 1.0


def stop(name: str, *, keep_ram: bool | None, say: Say) -> bool:
    """End the lab called `name` and remove its files; False if there was none.

    :param keep_ram: None means as it was said at the start
    """
    refuse_attached(name)
    paths = paths_of(name)
    if not is_there(paths):
        return False
    launcher = launcher_of(paths)
    _set_keep_ram(paths, keep_ram)
    was_there = paths.manifest.exists() or paths.shm.exists()
    if launcher is not None:
        say(f"stopping lab {name!r}")
        _end_launcher(launcher, paths)
    lock = take_lock_patiently(paths)
    try:
        ended = leftovers.end_processes(paths)
        if ended:
            say(f"lab {name!r}: ended what its launcher left")
        _clean(paths, say)
        if was_there or ended:
            say(f"lab {name!r} is stopped")
    finally:
        os.close(lock)
    return was_there or ended


def is_launcher(words: Sequence[str]) -> bool:
    """Whether a command line looks like one of ours: `python3 run …`, `ntbdbg-run …`."""
    return any(Path(word).name in ("run", INSTALLED) for word in words[1:4])


def launcher_of(paths: LabPaths) -> ProcessRef | None:
    """The launcher that holds the lab's name; raises RunError if something else holds it."""
    process = holder(paths)
    if process is None:
        return None
    words = processes.command_line(process.pid)
    if not processes.is_own(process.pid):
        why, hint = "which is not this user's", "only its own user, or root, can end it"
    elif not is_launcher(words):
        why, hint = "which is no launcher", f"end it: kill {process.pid}"
    else:
        return process
    if not process.is_alive():
        return None
    called = f" ({Path(words[0]).name})" if words else ""
    raise RunError(
        f"lab {paths.folder.name!r} is held by process {process.pid}{called}, {why}", hint=hint
    )


def take_lock_patiently(paths: LabPaths, seconds: float = ORDERLY) -> int:
    """Hold the lab's name as soon as its launcher has let go; raises RunError if it does not."""
    unseen = Deadline(UNSEEN)

    def attempt() -> int | None:
        try:
            return take_lock(paths)
        except HeldError:
            if launcher_of(paths) is None and unseen.expired:
                raise _held(paths, "that cannot be seen from here, in another container") from None
            return None

    lock = Deadline(seconds).poll(attempt)
    if lock is None:
        raise _held(paths, "that does not let go")
    return lock


def _held(paths: LabPaths, how: str) -> RunError:
    return RunError(
        f"lab {paths.folder.name!r} is held by a process {how}",
        hint=f"see who has {paths.lock} open (fuser {paths.lock})",
    )


def _end_launcher(launcher: ProcessRef, paths: LabPaths) -> None:
    """Ask the launcher to end its lab, and end the launcher itself if it does not."""

    def recognise(words: Sequence[str]) -> bool:
        return is_launcher(words) and holder(paths) == launcher

    processes.send(launcher, signal.SIGTERM, recognise)
    if not Deadline(ORDERLY).poll(lambda: not launcher.is_alive()):
        processes.send(launcher, signal.SIGKILL, recognise)


def _set_keep_ram(paths: LabPaths, keep_ram: bool | None) -> None:
    if keep_ram is True:
        os.close(os.open(paths.keep_ram, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    elif keep_ram is False:
        paths.keep_ram.unlink(missing_ok=True)


def _clean(paths: LabPaths, say: Say) -> None:
    """Remove the lab's files; with RAM to be kept, run.json says how things are now."""
    manifest = leftovers.load(paths)
    keep = paths.keep_ram.exists() and manifest is not None
    if keep and manifest is not None:
        dataclasses.replace(manifest, state=State.STOPPED.value).save(paths.manifest)
        files = ", ".join(guest.ram.path for guest in manifest.guests)
        say(f"kept {files}, until the next start or 'python3 run stop --no-keep-ram'")
    leftovers.remove_files(paths, keep_ram=keep)
