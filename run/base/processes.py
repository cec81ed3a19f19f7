# SPDX-License-Identifier: MIT
"""Processes: starting, recognising and ending them, and never somebody else's.

A pid alone names nothing for long. A process is ended through a pidfd that was opened before
its start time and its command line were checked, so that it cannot become another meanwhile.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ntbdbg.lab.manifest import ProcessRef

Recognise = Callable[[Sequence[str]], bool]

#: bytes from the end of a log that can matter for its last lines
_TAIL_BYTES = 16384

#: colours, cursor moves and the like, which a guest may print
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def start(
    argv: Sequence[str], log: Path, *, folder: Path, inherit: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start `argv` with its output going to the end of `log`; raises OSError.

    :param inherit: file descriptors that the process keeps open

    A session of its own, so that Ctrl-C in the launcher's terminal does not reach it. No
    PR_SET_PDEATHSIG either: a guest that is being debugged outlives its launcher, and `stop`
    finds it by its command line.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            pass_fds=tuple(inherit),
            start_new_session=True,
        )


def command_line(pid: int) -> list[str]:
    """The arguments of a process, empty if it is gone or not ours to see."""
    try:
        data = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in data.rstrip(b"\0").split(b"\0")]


def is_own(pid: int) -> bool:
    """Whether a process is this user's in every respect: a set-uid program is its caller's."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    uids = next((line.split()[1:4] for line in text.splitlines() if line.startswith("Uid:")), [])
    return set(uids) == {str(os.getuid())}


def find(recognise: Recognise) -> Iterator[ProcessRef]:
    """Living processes of this user whose command line `recognise` accepts."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or not _is_own(entry):
            continue
        pid = int(entry.name)
        try:
            process = ProcessRef.of(pid)
        except ProcessLookupError:
            continue
        # A child that has not yet become QEMU still has the launcher's own command line.
        if pid != os.getpid() and recognise(command_line(pid)) and is_own(pid):
            yield process


def send(process: ProcessRef, number: signal.Signals, recognise: Recognise) -> bool:
    """Send a signal to this very process; False if it is gone or is not ours."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not process.is_alive() or not is_own(process.pid):
            return False
        if not recognise(command_line(process.pid)):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def describe_exit(code: int | None) -> str:
    """``ended with exit code 1``, ``was killed by SIGKILL``."""
    if code is None:
        return "ended, nobody saw how"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a log that are not blank, without terminal control characters."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    lines_of_text = _ESCAPES.sub("", text).split("\n")
    clean = ("".join(c for c in line if c.isprintable() or c == "\t") for line in lines_of_text)
    return tuple([line.rstrip() for line in clean if line.strip()][-lines:])


def _is_own(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat().st_uid == os.getuid()
    except OSError:
        return False
