# SPDX-License-Identifier: MIT
"""Stopping and continuing every guest of a lab, so that both sides show one moment.

What was stopped is written to ``frozen.json`` in the lab's folder before the first guest is
stopped. A process that is killed with -9 while it holds the lab leaves the file and the
guests stopped; `resume` then lets them go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from ntbdbg.errors import QmpError, TargetError
from ntbdbg.lab import frozenmark
from ntbdbg.lab.manifest import ProcessRef
from ntbdbg.lab.migration import moving, note_moving, refuse_moving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ntbdbg.lab.lab import Lab
    from ntbdbg.lab.manifest import GuestRecord
    from ntbdbg.lab.qmp import Qmp

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process that holds the lab still."""

PRELAUNCH = "prelaunch"
"""QEMU's run state of a guest that was never started (``-S``)."""

_WAYS_ON = {
    "guest-panicked": "'ntbdbg postmortem' tells why",
    "postmigrate": "it went on where it migrated to",
    "inmigrate": "it waits for the guest that is to migrate here",
}
"""The next step to try, by run states in which nothing can be continued."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Standstill:
    """What `frozen` gives its block.

    :ivar monitors: by name, an open conversation with every guest that lives
    :ivar states: by name, its run state before it was stopped
    :ivar moment: seconds since the epoch when the last one had stopped
    """

    def __init__(self, monitors: dict[str, Qmp]) -> None:
        self.monitors = monitors
        self.states = {name: run_state(qmp) for name, qmp in monitors.items()}
        for name, qmp in monitors.items():
            refuse_moving(qmp, self.states[name])
        self.moment = time.time()
        self._began = self._ended = 0.0

    @property
    def seconds(self) -> float:
        """How long guests stood still, once the block is left; 0 if none was stopped."""
        return self._ended - self._began

    def running(self) -> dict[str, Qmp]:
        """The conversations with those that ran."""
        return {n: qmp for n, qmp in self.monitors.items() if self.states[n] == "running"}

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Around everything from before the first stop to after the last cont."""
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._ended = time.monotonic()


@contextlib.contextmanager
def frozen(lab: Lab) -> Iterator[Standstill]:
    """Stop all guests of `lab`; resume those that ran, whatever happens, short of kill -9.

    A guest that already stands still stays so, and one that is no longer paused in the end, as
    it has migrated meanwhile, is not continued. SIGTERM and SIGHUP end the block like Ctrl-C.

    :raises TargetError: bare RAM files, another process holds the lab, a guest is on the move
    :raises QmpError: a monitor does not answer; the guests stopped so far run again
    """
    if lab.manifest and not lab.manifest.is_live():
        lab.note("no guest runs: all stand still already")
        yield Standstill({})
        return
    with _held(lab) as folder, contextlib.ExitStack() as stack, ending_by_exception():
        still = Standstill(_monitors(lab, stack))
        running = still.running()
        before = frozenmark.read(folder)
        _note_leftovers(lab, before)
        stack.enter_context(still.timed() if running else contextlib.nullcontext())
        try:
            with undisturbed():
                _stop(running, folder, ProcessRef.of(os.getpid()))
            still.moment = time.time()
            lab.still = still
            yield still
        finally:
            lab.still = None
            with undisturbed():
                _continue(lab, running)
                frozenmark.restore(folder, before)


def freeze(lab: Lab) -> list[str]:
    """Stop all guests until `resume`; gives the names of those that ran. Errors as `frozen`."""
    with _held(lab) as folder, contextlib.ExitStack() as stack:
        running = Standstill(_monitors(lab, stack)).running()
        with undisturbed():
            try:
                _stop(running, folder, None)
            except BaseException:
                _continue(lab, running)
                frozenmark.remove(folder)
                raise
        return list(running)


def resume(lab: Lab, names: Sequence[str] = ()) -> list[str]:
    """Let guests that are paused go on, whoever paused them; gives the names of those that do.

    :param names: only these, also where they were never started (QEMU's ``prelaunch``);
        without, all that are paused
    :raises TargetError: no such guest, one that is named cannot go on, or one is on the move
    """
    with _held(lab) as folder, contextlib.ExitStack() as stack:
        for name in names:
            lab.guest(name)
        monitors = _monitors(lab, stack)
        chosen = {name: monitors[name] for name in _resumable(lab, monitors, names)}
        with undisturbed():
            _continue(lab, chosen)
            frozenmark.forget(folder, chosen if names else None)
        return list(chosen)


def _resumable(lab: Lab, monitors: dict[str, Qmp], names: Sequence[str]) -> list[str]:
    """Names of the guests that `resume` has to continue."""
    states = {name: run_state(qmp) for name, qmp in monitors.items()}
    if not names:
        for name in [name for name, state in states.items() if state == PRELAUNCH]:
            lab.note(f"{name} was never started; 'ntbdbg resume {name}' starts it")
    for name in names:
        state = states.get(name, "dead")
        if state not in ("paused", PRELAUNCH, "running"):
            raise TargetError(
                f"{name} is {state}, not paused, so it cannot go on",
                hint=_WAYS_ON.get(state, "'ntbdbg info' shows it"),
            )
    wanted = ("paused", PRELAUNCH) if names else ("paused",)
    found = [n for n, state in states.items() if state in wanted and (not names or n in names)]
    for name in found:
        refuse_moving(monitors[name], "paused")
    return found


def monitor(record: GuestRecord) -> Qmp:
    """The toolkit's QMP conversation with a guest, to be opened by ``with``, and briefly."""
    from ntbdbg.lab.qmp import Qmp

    if not record.is_alive():
        raise QmpError(
            f"{record.name} does not run, so nothing can stop or continue it",
            hint="its RAM can still be read",
        )
    return Qmp(record.qmp, who=record.name)


def run_state(qmp: Qmp) -> str:
    """QEMU's run state: ``running``, ``paused``, ``guest-panicked``, …"""
    return str(qmp.execute("query-status")["status"])


def _monitors(lab: Lab, stack: contextlib.ExitStack) -> dict[str, Qmp]:
    """An open conversation with every guest that lives."""
    records = lab.manifest.guests if lab.manifest else ()
    alive = [record for record in records if record.is_alive()]
    if not alive:
        raise TargetError(
            f"no guest of lab {lab.name!r} runs, so all stand still already",
            hint="'python3 run vms' starts a lab" if lab.is_launched else "its RAM can be read",
        )
    return {record.name: stack.enter_context(monitor(record)) for record in alive}


def _stop(running: dict[str, Qmp], folder: Path, owner: ProcessRef | None) -> None:
    if running:
        frozenmark.write(folder, frozenmark.Mark(owner, tuple(running), time.time()))
    for qmp in running.values():
        qmp.execute("stop")


def _continue(lab: Lab, guests: dict[str, Qmp]) -> None:
    """Let those of `guests` run that are still paused, also after one has failed to."""
    failures: list[QmpError] = []
    for name, qmp in guests.items():
        try:
            _continue_one(lab, name, qmp)
        except QmpError as error:
            failures.append(error)
    if failures:
        raise QmpError(
            f"{failures[0].message}; it may still be stopped",
            hint="'ntbdbg resume' tries again, 'ntbdbg info' shows each guest's state",
        ) from failures[0]


def _continue_one(lab: Lab, name: str, qmp: Qmp) -> None:
    """What migrated while it stood still runs elsewhere now: ``cont`` would make it run twice."""
    state = run_state(qmp)
    on_the_move = moving(qmp, state)
    if on_the_move is not None:
        lab.note(f"{name} is on the move ({on_the_move}), so it was not continued")
    elif state in ("paused", PRELAUNCH):
        qmp.execute("cont")
    elif state != "running":
        lab.note(f"{name} is {state} by now, so it was not continued")


def _note_leftovers(lab: Lab, mark: frozenmark.Mark | None) -> None:
    if mark is None:
        return
    names = " and ".join(mark.guests)
    if mark.owner is None:
        lab.note(f"{names} stay frozen afterwards, as 'ntbdbg freeze' left them")
    else:
        lab.note(
            f"{names} were left frozen by process {mark.owner.pid}, which was killed; "
            "'ntbdbg resume' lets them run"
        )


@contextlib.contextmanager
def _held(lab: Lab) -> Iterator[Path]:
    """Hold the lab's freeze lock; gives the lab's folder."""
    lab.refuse_capture("frozen or resumed")
    folder = lab.folder
    if folder is None:
        raise TargetError(
            f"bare RAM files cannot be frozen or resumed ({lab.how})",
            hint="stop and continue the guest by its own monitor",
        )
    path = folder / "freeze.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}", hint="is the folder yours?") from error
    try:
        _lock(fd, folder)
        yield folder
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    limit = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= limit:
                break
            time.sleep(0.02)
    mark = frozenmark.read(folder)
    who = f"process {mark.owner.pid}" if mark and mark.owner else "another process"
    raise TargetError(f"{who} holds the lab frozen", hint="wait for it, or end it")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals waiting during a block that is short, or whose time is limited, as QMP's is."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_by_exception() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise SystemExit, so that ``finally`` runs (main thread only)."""
    try:
        old = {number: signal.signal(number, _leave) for number in _SIGNALS[1:]}
    except ValueError:  # not the main thread: signals are not ours to catch
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def states(lab: Lab, *only: GuestRecord) -> dict[str, str]:
    """Run state of each recorded guest: QEMU's word for it, ``dead``, or ``alive`` (and a note)
    where its monitor does not answer. While `frozen` holds the lab, those from before that.

    :param only: whose, by default all guests'
    """
    records = only or (lab.manifest.guests if lab.manifest else ())
    if lab.still is not None:
        return {record.name: lab.still.states.get(record.name, "dead") for record in records}
    return {record.name: _state(lab, record) for record in records}


def _state(lab: Lab, record: GuestRecord) -> str:
    if not record.is_alive():
        return "dead"
    try:
        with monitor(record) as qmp:
            state = run_state(qmp)
            note_moving(lab, qmp, state)
            return state
    except QmpError as error:
        lab.note(error.message)
        return "alive"
