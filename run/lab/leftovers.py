# SPDX-License-Identifier: MIT
"""Ending the processes of a lab and removing its files, whoever started them.

Both work from the lab's folder alone: the same code ends a lab in an orderly way and cleans up
after a launcher that was killed. Whoever calls holds the lab's lock.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ntbdbg.errors import NtbdbgError, QmpError
from ntbdbg.lab.manifest import Manifest, ProcessRef
from ntbdbg.lab.qmp import Qmp
from run.base import processes
from run.base.deadline import Deadline
from run.base.errors import HostError, RunError
from run.vm import disks, ram
from run.vm.argv import qmp_chardev
from run.vm.options import MOST_GUESTS
from run.vm.plan import SHM, LabPaths, guest_names

#: seconds for a guest to follow its power button; one with disks has something to write
POWERDOWN, POWERDOWN_WITH_DISKS = 6.0, 30.0
#: seconds for QEMU to follow `quit`, and for a process to follow SIGTERM or SIGKILL
QUIT = 3.0
#: seconds for QEMU's monitor to answer; a process that is stopped never does
ANSWER = 2.0

_NAMES = [*guest_names(1), *guest_names(MOST_GUESTS)]

Hurry = Callable[[], bool]


def recogniser(paths: LabPaths, name: str) -> processes.Recognise:
    """Recognises QEMU of guest `name`: nothing else has this lab's monitor among its words."""
    word = qmp_chardev("qmp-launcher", paths.qmp_launcher(name))
    return lambda words: word in words[1:]


def server_recogniser(paths: LabPaths) -> processes.Recognise:
    """Recognises this lab's ivshmem-server."""
    socket = str(paths.server_socket)
    return lambda words: ("-S", socket) in itertools.pairwise(words[1:])


def end_processes(paths: LabPaths, *, hurry: Hurry = lambda: False) -> bool:
    """End every process of the lab: guests softly, then hard, then the server.

    :param hurry: asked at each wait; true means hard at once
    :returns: whether there was any
    """
    guests = {name: list(processes.find(recogniser(paths, name))) for name in _NAMES}
    guests = {name: found for name, found in guests.items() if found}
    server = list(processes.find(server_recogniser(paths)))
    if guests:
        _end_guests(paths, guests, hurry)
    _signal(server, signal.SIGTERM, server_recogniser(paths))
    if not _gone(server, QUIT, hurry):
        _signal(server, signal.SIGKILL, server_recogniser(paths))
        _gone(server, QUIT, lambda: False)
    return bool(guests or server)


def end_guest(paths: LabPaths, name: str, *, hard: bool) -> None:
    """End one guest of a lab that its launcher looks after, and talks to by a monitor of its own.

    :param hard: at once, without asking it
    """
    found = list(processes.find(recogniser(paths, name)))
    if not hard:
        seconds = _press_power_button(paths, name, paths.qmp(name))
        if not seconds or not _gone(found, seconds, lambda: False):
            _ask(paths.qmp(name), name, "quit")
            _gone(found, QUIT, lambda: False)
    _end_hard(paths, {name: found})


def remove_files(paths: LabPaths, *, keep_ram: bool) -> None:
    """Remove what a lab without processes left; logs stay until the next run of that name.

    With `keep_ram` RAM files, the shared page and run.json stay as well, for ntbdbg, and so
    does what ntbdbg itself put beside them (its journal).
    """
    for name in _NAMES:
        paths.qmp(name).unlink(missing_ok=True)
        paths.qmp_launcher(name).unlink(missing_ok=True)
        paths.own_initrd(name).unlink(missing_ok=True)
        disks.remove(paths, name)
    paths.server_socket.unlink(missing_ok=True)
    paths.initrd.unlink(missing_ok=True)
    _unlink_page(paths)
    if keep_ram:
        return
    _remove_ram(paths)
    for entry in paths.folder.iterdir():
        if entry.suffix != ".log" and entry != paths.lock and not entry.is_dir():
            entry.unlink(missing_ok=True)


def keep_logs(paths: LabPaths, guest: str) -> None:
    """Put a guest's logs aside before it is started again, and make way for its monitors."""
    for log in (paths.log(guest), paths.console_log(guest)):
        with suppress(FileNotFoundError):
            log.rename(log.with_suffix(".previous.log"))
    for socket in (paths.qmp(guest), paths.qmp_launcher(guest)):
        socket.unlink(missing_ok=True)


def make_private(paths: LabPaths) -> None:
    """Make the lab's folder in /dev/shm; raises HostError if the name is somebody else's."""
    try:
        paths.shm.mkdir(mode=0o700)
    except FileExistsError:
        status = paths.shm.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise HostError(
                f"{paths.shm} exists and is not this user's folder", hint="use another --name"
            ) from None
        paths.shm.chmod(0o700)
    except OSError as error:
        raise HostError(f"cannot make {paths.shm}: {error.strerror}") from error


def load(paths: LabPaths) -> Manifest | None:
    """The lab's run.json, None where it is absent or broken."""
    try:
        return Manifest.load(paths.manifest)
    except NtbdbgError:
        return None


def _end_guests(paths: LabPaths, guests: dict[str, list[ProcessRef]], hurry: Hurry) -> None:
    if not hurry():
        _end_softly(paths, guests, hurry)
    _end_hard(paths, guests)


def _end_hard(paths: LabPaths, guests: dict[str, list[ProcessRef]]) -> None:
    for name, found in guests.items():
        _signal(found, signal.SIGKILL, recogniser(paths, name))
    left = _all(guests)
    if not _gone(left, QUIT, lambda: False):
        pids = ", ".join(str(process.pid) for process in left if process.is_alive())
        raise RunError(f"processes that do not die: {pids}", hint="look for what blocks them")


def _end_softly(paths: LabPaths, guests: dict[str, list[ProcessRef]], hurry: Hurry) -> None:
    """Power button, then `quit`; who does not hear the one is not asked the other.

    A guest that cannot feel the button is asked to quit at once: nobody waits for it.
    """
    patience = {name: _press_power_button(paths, name, paths.qmp_launcher(name)) for name in guests}
    hearing = {name: found for name, found in guests.items() if patience[name] is not None}
    feeling = {name: found for name, found in hearing.items() if patience[name]}
    _quit(paths, {n: found for n, found in hearing.items() if n not in feeling}, hurry)
    _gone(_all(feeling), max((patience[n] or 0.0 for n in feeling), default=0.0), hurry)
    _quit(paths, feeling, hurry)
    _gone(_all(hearing), QUIT, hurry)


def _quit(paths: LabPaths, guests: dict[str, list[ProcessRef]], hurry: Hurry) -> None:
    """Ask those QEMUs that still run to end."""
    for name, found in guests.items():
        if any(process.is_alive() for process in found) and not hurry():
            _ask(paths.qmp_launcher(name), name, "quit")


def _all(guests: dict[str, list[ProcessRef]]) -> list[ProcessRef]:
    return [process for found in guests.values() for process in found]


def _press_power_button(paths: LabPaths, name: str, monitor: Path) -> float | None:
    """Ask a guest to power down; gives how many seconds it may take, None if QEMU is deaf.

    No time is spent on a guest that cannot feel the button: it is paused, has panicked, or
    never came far enough to accept ssh.
    """
    try:
        with Qmp(monitor, timeout=ANSWER, who=name) as qmp:
            if qmp.execute("query-status")["status"] != "running" or not _is_up(paths, name):
                return 0.0
            disks = any("inserted" in block for block in qmp.execute("query-block"))
            qmp.execute("system_powerdown")
            return POWERDOWN_WITH_DISKS if disks else POWERDOWN
    except QmpError:
        return None


def _is_up(paths: LabPaths, name: str) -> bool:
    manifest = load(paths)
    if manifest is None or manifest.state != "linked":
        return False
    return not any(guest.name == name and guest.panicked for guest in manifest.guests)


def _ask(monitor: Path, name: str, command: str) -> None:
    with suppress(QmpError), Qmp(monitor, timeout=ANSWER, who=name) as qmp:
        qmp.execute(command)


def _gone(found: Sequence[ProcessRef], seconds: float, hurry: Hurry) -> bool:
    """Wait for the end of all; False if one still runs when time, or patience, is up."""

    def none_left() -> bool:
        return hurry() or not any(process.is_alive() for process in found)

    Deadline(seconds).poll(none_left)
    return not any(process.is_alive() for process in found)


def _signal(
    found: Sequence[ProcessRef], number: signal.Signals, recognise: processes.Recognise
) -> None:
    for process in found:
        processes.send(process, number, recognise)


def _unlink_page(paths: LabPaths) -> None:
    """Remove the server's own name of the page; the second one is in the private folder."""
    page = SHM / paths.page_name
    with suppress(OSError):
        if page.lstat().st_uid == os.getuid():
            page.unlink()


def _remove_ram(paths: LabPaths) -> None:
    manifest = load(paths)
    for guest in manifest.guests if manifest else ():
        path = SHM / guest.name
        if guest.ram.path == str(path):
            ram.remove(path, inode=guest.ram.inode)
    with suppress(OSError):
        if paths.shm.lstat().st_uid == os.getuid():
            shutil.rmtree(paths.shm)
