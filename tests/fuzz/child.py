# SPDX-License-Identifier: MIT
"""A command line of ntbdbg in a process of its own, which may spend so much and no more.

The process is forked from one that has all of ntbdbg imported, so it costs a fraction of a start.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

MEMORY = 2 << 30
"""Bytes above what the process has already, and what guests' RAM takes when it is mapped."""

SECONDS = 10
"""Of processor time."""

HANGS = 300
"""Seconds after which a process that uses no processor time is taken to hang."""

ANSWERS = (0, 1, 2, 3, 4, 5)
"""Exit codes of answers and of ntbdbg's own errors."""


class Outcome(NamedTuple):
    """How one command ended.

    :ivar code: its exit code; negative: the signal that ended it
    :ivar error: what it wrote to stderr
    :ivar seconds: of processor time
    :ivar memory: bytes in RAM, at most
    """

    words: tuple[str, ...]
    code: int
    error: str
    seconds: float
    memory: int

    @property
    def problem(self) -> str | None:
        """Why this is no good end; None if it is one."""
        if self.code not in ANSWERS:
            return f"exit code {self.code}"
        if "Traceback" in self.error or "bug of ntbdbg" in self.error:
            return "a traceback"
        errors = [line for line in self.error.splitlines() if not line.startswith("note: ")]
        least, most = self.code > 1, self.code > 0
        if not least <= len(errors) <= most or not all(e.startswith("ntbdbg: ") for e in errors):
            return f"{len(errors)} lines of errors"
        return None


def command(words: Sequence[str], ram: int, folder: Path) -> Outcome:
    """``ntbdbg WORDS`` over guests with `ram` bytes in all, from `folder`."""

    def work() -> int:
        from ntbdbg.cli.main import main

        os.chdir(folder)
        return main(list(words))

    return limited(tuple(words), work, ram, folder)


def limited(words: tuple[str, ...], work: Callable[[], int], ram: int, folder: Path) -> Outcome:
    """What `work` comes to in a process with limits."""
    log = folder / "stderr"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _live(work, ram, log)
    code, usage = _wait(pid)
    spent = usage.ru_utime + usage.ru_stime
    text = log.read_text("utf-8", "backslashreplace")
    return Outcome(words, code, text, spent, usage.ru_maxrss << 10)


def _live(work: Callable[[], int], ram: int, log: Path) -> None:
    code = 99
    try:
        os.setpgid(0, 0)
        os.environ["COLUMNS"] = "120"
        with open(os.devnull, "r+b") as null, log.open("wb") as errors:
            os.dup2(null.fileno(), 0)
            os.dup2(null.fileno(), 1)
            os.dup2(errors.fileno(), 2)
        _limit(ram)
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _limit(ram: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    present = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + ram + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _wait(pid: int) -> tuple[int, resource.struct_rusage]:
    end = time.monotonic() + HANGS
    pause = 0.001
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), usage
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
