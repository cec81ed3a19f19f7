# SPDX-License-Identifier: MIT
"""The process that looks after a lab: the one in the terminal, or one left in the background."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, NoReturn

from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import ProcessRef
from run.base import processes
from run.base.errors import RunError
from run.base.interrupts import Interrupted, Interrupts
from run.lab.lab import Lab, Say, State
from run.lab.name import make_folder
from run.vm.plan import LabPaths

MakeLab = Callable[[Say, Interrupts], Lab]

EXIT_INTERRUPTED = 130


def in_foreground(make_lab: MakeLab, say: Say, ready: Callable[[Lab], None]) -> int:
    """Start, watch until Ctrl-C or until the last guest ended, clean up; gives the exit code.

    Ctrl-C once the guests are up is how a lab in a terminal is ended: 0. Before that, 130.
    """
    interrupts = Interrupts()
    interrupts.install()
    lab = make_lab(say, interrupts)
    try:
        _start(lab)
        try:
            lab.link()
            ready(lab)
        except RunError as error:
            say(f"{error}\nCtrl-C ends it")
        lab.watch()
    except Interrupted:
        return _end(lab, interrupts, say)
    except BaseException:
        # For example standard output that nobody reads any more.
        if lab.holds_name:
            lab.stop(hurry=lambda: True)
        raise
    lab.settle()
    say("no guest is left; what they left can be looked at until 'python3 run stop'")
    return 0 if all(m.exit and m.exit.code == 0 for m in lab.machines) else 1


def in_background(make_lab: MakeLab, paths: LabPaths, say: Say, ready: Callable[[], None]) -> int:
    """Leave a supervisor behind that does the same; returns when the guests accept ssh.

    The supervisor is nobody's child and has no terminal. It tells how things go through a
    pipe until it is ready, then writes to its log.
    """
    make_folder(paths)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_supervisor(make_lab, paths, os.fdopen(writing, "w"))
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as reports:
        result = _follow(reports, say)
    if result is None:
        raise RunError("the supervisor of the lab died", hint=f"its log is {paths.launcher_log}")
    if result["error"] is not None:
        raise RunError(result["error"], exit_code=result["code"])
    if result["code"] == 0:
        ready()
    return int(result["code"])


# -- the supervisor ------------------------------------------------------------------------


def _become_supervisor(make_lab: MakeLab, paths: LabPaths, reports: IO[str]) -> NoReturn:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    code = 1
    try:
        _close_inherited(keep=reports.fileno())
        _detach_streams(paths)
        os.chdir(paths.folder)
        code = _supervise(make_lab, reports)
    except BaseException as error:
        _report(reports, error=f"the supervisor failed: {error!r}", code=1)
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _supervise(make_lab: MakeLab, reports: IO[str]) -> int:
    interrupts = Interrupts()
    interrupts.install()
    # Whoever started us may go away early; that is no reason for the lab to go.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    me = ProcessRef.of(os.getpid())
    _report(reports, process=[me.pid, me.start_time])

    def say(words: str) -> None:
        print(words, flush=True)
        _report(reports, say=words)

    try:
        lab = make_lab(say, interrupts)
    except (RunError, NtbdbgError) as error:
        _report(reports, error=str(error), code=getattr(error, "exit_code", 1))
        return 1
    try:
        _start(lab)
        _report(reports, **_link(lab))
        with suppress(OSError):
            reports.close()
        lab.watch()
    except Interrupted:
        code = _end(lab, interrupts, say)
        _report(reports, error=None, code=code)
        return code
    except (RunError, NtbdbgError) as error:
        _report(reports, error=str(error), code=getattr(error, "exit_code", 1))
        return 1
    lab.settle()
    return 0


def _link(lab: Lab) -> dict[str, Any]:
    """Wait for ssh; a guest that does not get there stays, to be looked at."""
    try:
        lab.link()
    except RunError as error:
        return {"error": str(error), "code": error.exit_code}
    return {"error": None, "code": 0}


def _close_inherited(keep: int) -> None:
    """Whatever else whoever started us had open: a lock that we held on to would never be free."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) != keep:
            with suppress(OSError):  # the one of this very listing is gone already
                os.close(int(name))


def _detach_streams(paths: LabPaths) -> None:
    """No terminal, and no pipe of whoever started us: that one would wait for its end."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    log = os.open(paths.launcher_log, flags, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)


def _report(reports: IO[str], **message: Any) -> None:
    with suppress(OSError, ValueError):
        reports.write(json.dumps(message) + "\n")
        reports.flush()


# -- both ----------------------------------------------------------------------------------


def _start(lab: Lab) -> None:
    """Up to booted; what fails on the way is cleaned up before it is reported."""
    try:
        lab.build()
        lab.boot()
    except Interrupted:
        raise
    except BaseException:
        if lab.holds_name:
            lab.stop(hurry=lambda: True)
        raise


def _end(lab: Lab, interrupts: Interrupts, say: Say) -> int:
    """Stop softly, and hard from the second request on."""
    first = interrupts.count
    was_up = lab.state is State.LINKED or lab.failure is not None
    if lab.holds_name:
        say("stopping the guests; once more, and they are killed")
        lab.stop(hurry=lambda: interrupts.count > first)
        say("stopped")
    return 0 if was_up else EXIT_INTERRUPTED


# -- the one who waits for the supervisor --------------------------------------------------


def _follow(reports: IO[str], say: Say) -> dict[str, Any] | None:
    """Pass on what the supervisor says, until its result; Ctrl-C goes to the supervisor."""
    supervisor, asked = None, False
    while True:
        try:
            line = reports.readline()
        except KeyboardInterrupt:
            line, asked = "{}", True
        if not line:
            return None
        message = json.loads(line)
        if "process" in message:
            supervisor = ProcessRef(*message["process"])
        if asked and supervisor is not None:
            asked = False
            processes.send(supervisor, signal.SIGTERM, lambda _: True)
        if "say" in message:
            say(message["say"])
        elif "code" in message:
            return dict(message)
