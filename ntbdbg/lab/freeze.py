# SPDX-License-Identifier: MIT
"""Stopping and continuing every guest of a lab, so that both sides show one moment.

What was stopped is written to ``frozen.json`` in the lab's folder before the first guest is
stopped. A process that is killed with -9 while it holds the lab leaves the file and the
guests stopped; `resume` then lets them go on.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import QmpError, TargetError
from ntbdbg.lab import frozenmark
from ntbdbg.lab.gdbmark import debugger_of
from ntbdbg.lab.manifest import ProcessRef
from ntbdbg.lab.migration import moving, refuse_moving, run_state
from ntbdbg.lab.monitors import monitor
from ntbdbg.lab.signals import ending_by_exception, undisturbed
from ntbdbg.lab.standstill import Standstill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ntbdbg.lab.place import LabLike
    from ntbdbg.lab.qmp import Qmp

PRELAUNCH = "prelaunch"
"""QEMU's run state of a guest that was never started (``-S``)."""

STOPPED = ("paused", "debug")
"""Run states of a guest that somebody stopped: by QMP, or by a debugger that is gone."""

_WAYS_ON = {
    "guest-panicked": "'ntbdbg postmortem' tells why",
    "postmigrate": "it went on where it migrated to",
    "inmigrate": "it waits for the guest that is to migrate here",
}
"""The next step to try, by run states in which nothing can be continued."""


@contextlib.contextmanager
def frozen(lab: LabLike) -> Iterator[Standstill]:
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
            yield still
        finally:
            with undisturbed():
                _continue(lab, running)
                frozenmark.restore(folder, before)


def freeze(lab: LabLike) -> list[str]:
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


def resume(lab: LabLike, names: Sequence[str] = ()) -> list[str]:
    """Let guests that are paused go on; gives the names of those that do.

    Whoever paused them, but for ``python3 run pause``, which has its own way back.

    :param names: only these, also where they were never started (QEMU's ``prelaunch``);
        without, all that are paused
    :raises TargetError: no such guest, one that is named cannot go on, or one is on the move
    """
    with _held(lab) as folder, contextlib.ExitStack() as stack:
        for name in names:
            lab.guest(name)
        monitors = _monitors(lab, stack)
        paused = frozenmark.paused(folder)
        chosen = {name: monitors[name] for name in _resumable(lab, monitors, names, paused)}
        with undisturbed():
            _continue(lab, chosen)
            frozenmark.forget(folder, chosen if names else None)
        return list(chosen)


def _resumable(
    lab: LabLike, monitors: dict[str, Qmp], names: Sequence[str], paused: Sequence[str]
) -> list[str]:
    """Names of the guests that `resume` has to continue; `paused` are not its own to."""
    monitors = _free_of_debuggers(lab, monitors, names)
    states = {name: run_state(qmp) for name, qmp in monitors.items()}
    if not names:
        for name in [name for name, state in states.items() if state == PRELAUNCH]:
            lab.note(f"{name} was never started; 'ntbdbg resume {name}' starts it")
    for name in names:
        state = states.get(name, "dead")
        if state not in (*STOPPED, PRELAUNCH, "running"):
            raise TargetError(
                f"{name} is {state}, not paused, so it cannot go on",
                hint=_WAYS_ON.get(state, "'ntbdbg info' shows it"),
            )
    wanted = (*STOPPED, PRELAUNCH) if names else STOPPED
    found = [n for n, state in states.items() if state in wanted and (not names or n in names)]
    for name in [name for name in found if name in paused]:
        why = f"{name} stays paused, as 'python3 run pause' left it"
        way_on = f"'python3 run continue {name}' lets it go on"
        if names:
            raise TargetError(why, hint=way_on)
        lab.note(f"{why}; {way_on}")
        found.remove(name)
    for name in found:
        refuse_moving(monitors[name], "paused")
    return found


def _free_of_debuggers(
    lab: LabLike, monitors: dict[str, Qmp], names: Sequence[str]
) -> dict[str, Qmp]:
    """Without the guests that gdb holds: it would not know that one goes on."""
    found = dict(monitors)
    for record in lab.manifest.guests if lab.manifest else ():
        debugger = debugger_of(record)
        if debugger is None or record.name not in found:
            continue
        who = f"gdb (process {debugger.pid}) holds {record.name}"
        if record.name in names:
            raise TargetError(who, hint="continue it there, or quit gdb")
        lab.note(f"{who}, so it was not continued")
        del found[record.name]
    return found


def _monitors(lab: LabLike, stack: contextlib.ExitStack) -> dict[str, Qmp]:
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


def _continue(lab: LabLike, guests: dict[str, Qmp]) -> None:
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


def _continue_one(lab: LabLike, name: str, qmp: Qmp) -> None:
    """What migrated while it stood still runs elsewhere now: ``cont`` would make it run twice."""
    state = run_state(qmp)
    on_the_move = moving(qmp, state)
    if on_the_move is not None:
        lab.note(f"{name} is on the move ({on_the_move}), so it was not continued")
    elif state in (*STOPPED, PRELAUNCH):
        qmp.execute("cont")
    elif state != "running":
        lab.note(f"{name} is {state} by now, so it was not continued")


def _note_leftovers(lab: LabLike, mark: frozenmark.Mark | None) -> None:
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
def _held(lab: LabLike) -> Iterator[Path]:
    """Hold the lab's freeze lock; gives the lab's folder."""
    lab.refuse_capture("frozen or resumed")
    lab.refuse_unallowed("freeze")
    folder = lab.folder
    if folder is None:
        raise TargetError(
            f"bare RAM files cannot be frozen or resumed ({lab.how})",
            hint="stop and continue the guest by its own monitor",
        )
    with frozenmark.held(folder):
        yield folder
