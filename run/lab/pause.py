# SPDX-License-Identifier: MIT
"""Stopping the processors of one guest, and letting them go on: our own stop and no other's.

A guest that `ntbdbg freeze` or a debugger stopped as well goes on when both have let go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntbdbg.errors import NtbdbgError
from ntbdbg.lab import frozenmark
from ntbdbg.lab.manifest import GuestRecord
from ntbdbg.lab.qmp import Qmp
from run.base.errors import RunError

#: run states of QEMU in which somebody else's stop is all that keeps a guest
STOPPED = ("paused", "debug")

FROZEN = "'ntbdbg freeze' stopped it, too: it goes on by 'ntbdbg resume'"
DEBUGGED = "a debugger stopped it, too: it goes on by that"


def pause(record: GuestRecord) -> str:
    """Stop the guest until `go_on`; gives what came of it.

    :raises RunError: it cannot be stopped now
    """
    with _asked(record) as (folder, qmp):
        state = _state(qmp)
        if state not in ("running", *STOPPED):
            raise RunError(
                f"{record.name} is {state}, so there is nothing to pause",
                hint="'python3 run status' shows it",
            )
        names = [name for name in frozenmark.paused(folder) if name != record.name]
        mark = frozenmark.Mark(None, (*names, record.name), time.time())
        frozenmark.write(folder, mark, frozenmark.PAUSED)
        if state == "running":
            qmp.execute("stop")
            return f"{record.name} is paused"
        return f"{record.name} stood still already, and stays so until 'python3 run continue'"


def go_on(record: GuestRecord) -> str:
    """Undo `pause`; gives what came of it.

    :raises RunError: nobody paused it, or it cannot go on
    """
    with _asked(record) as (folder, qmp):
        state, ours = _state(qmp), record.name in frozenmark.paused(folder)
        frozen = frozenmark.read(folder)
        if state == "running":
            frozenmark.forget(folder, [record.name], frozenmark.PAUSED)
            return f"{record.name} runs already"
        if not ours and frozen is not None:
            raise RunError(
                f"{record.name} is frozen, not paused", hint="'ntbdbg resume' lets it go on"
            )
        if state not in STOPPED or (state == "debug" and not ours):
            raise RunError(f"{record.name} is {state}, not paused", hint=_next_step(state))
        if state == "paused" and frozen is None:
            qmp.execute("cont")
        frozenmark.forget(folder, [record.name], frozenmark.PAUSED)
    return f"{record.name} {_outcome(state, frozen is not None)}"


def _outcome(state: str, frozen: bool) -> str:
    if frozen:
        return f"is no longer paused; {FROZEN}"
    return f"is no longer paused; {DEBUGGED}" if state == "debug" else "goes on"


def _next_step(state: str) -> str:
    if state == "debug":
        return "a debugger stopped it: it goes on by that"
    if state == "prelaunch":
        return "'ntbdbg resume' by its name starts it"
    return "'python3 run status' shows it"


def _state(qmp: Qmp) -> str:
    return str(qmp.execute("query-status")["status"])


@contextmanager
def _asked(record: GuestRecord) -> Iterator[tuple[Path, Qmp]]:
    """The lab's folder, in which nobody else stops or continues guests now, and the monitor."""
    folder = Path(record.qmp).parent
    try:
        with frozenmark.held(folder), Qmp(record.qmp, who=record.name) as qmp:
            yield folder, qmp
    except NtbdbgError as error:
        raise RunError(error.message, hint=error.hint) from error
