# SPDX-License-Identifier: MIT
"""Power button, plug and reset button of one guest; the rest of its lab goes on."""

from __future__ import annotations

from ntbdbg.lab.manifest import GuestRecord, Manifest
from run.base.deadline import Deadline
from run.lab import leftovers
from run.lab.asked import asked
from run.lab.choose import paths_of
from run.lab.name import holder
from run.vm.plan import LabPaths

#: seconds for the launcher to take note
NOTED = 10.0

#: seconds for QEMU to do a reset that it was asked for
RESET = 20.0


def off(manifest: Manifest, record: GuestRecord, *, hard: bool) -> None:
    """End the guest: by its power button, by QEMU's `quit` if it does not follow; or `hard`.

    :raises RunError: its process does not die
    """
    paths = paths_of(manifest.lab)
    leftovers.end_guest(paths, record.name, hard=hard)
    if holder(paths) is not None:  # who looks after the lab writes down how it ended
        Deadline(NOTED).poll(lambda: _is_noted(paths, record))


def _is_noted(paths: LabPaths, record: GuestRecord) -> bool:
    now = leftovers.load(paths)
    return now is None or all(g.exit is not None for g in now.guests if g.name == record.name)


def reset(record: GuestRecord) -> bool:
    """Press the reset button; returns when the guest begins anew. False if it stands still."""
    with asked(record) as qmp:
        runs = bool(qmp.execute("query-status")["running"])
        qmp.execute("system_reset")
        if runs:
            qmp.wait_event("RESET", timeout=RESET)
        return runs
