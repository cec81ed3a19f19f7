# SPDX-License-Identifier: MIT
"""The monitors (QMP) of a lab's guests, and what they say of how each one is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ntbdbg.errors import QmpError
from ntbdbg.lab.migration import note_moving, run_state

if TYPE_CHECKING:
    from pathlib import Path

    from ntbdbg.lab.manifest import GuestRecord
    from ntbdbg.lab.place import LabLike
    from ntbdbg.lab.qmp import Qmp


LOCKS = ".locks"
"""Folder below that of all labs."""


def monitor(record: GuestRecord) -> Qmp:
    """The toolkit's QMP conversation with a guest, to be opened by ``with``, and briefly."""
    from ntbdbg.lab.qmp import Qmp

    if not record.is_alive():
        raise QmpError(
            f"{record.name} does not run, so nothing can stop or continue it",
            hint="its RAM can still be read",
        )
    refuse_unknown(record)
    return Qmp(record.qmp, who=record.name, lock=_lock(record.qmp))


def refuse_unknown(record: GuestRecord) -> None:
    """Raise QmpError if no monitor of the guest is known, as of some that were attached to."""
    if not record.qmp:
        raise QmpError(
            f"{record.name}: no monitor of its QEMU is known, or somebody else holds it",
            hint="'ntbdbg guests' shows who offers one; its memory can be read",
        )


def _lock(path: str) -> Path | None:
    """The lock file of somebody else's socket, in our own folder: nothing is left beside theirs;
    None for the customary one beside a socket of ours."""
    from ntbdbg.lab import trust
    from ntbdbg.lab.manifest import runtime_root

    root = runtime_root()
    if os.path.realpath(path).startswith(os.path.realpath(root) + os.sep):
        return None
    try:
        status = os.stat(path)
        folder = root / LOCKS
        os.makedirs(root, mode=0o700, exist_ok=True)
        trust.check_root(root)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None  # what is wrong with the socket, opening it says best
    return folder / f"{status.st_dev:x}-{status.st_ino}.lock"


def states(lab: LabLike, *only: GuestRecord) -> dict[str, str]:
    """Run state of each recorded guest: QEMU's word for it, ``dead``, or ``alive`` (and a note)
    where its monitor does not answer. While all are held still, those from before that.

    :param only: whose, by default all guests'
    """
    records = only or (lab.manifest.guests if lab.manifest else ())
    still = lab.stillness()
    if still is not None:
        return {record.name: still.states.get(record.name, "dead") for record in records}
    return {record.name: _state(lab, record) for record in records}


def _state(lab: LabLike, record: GuestRecord) -> str:
    if not record.is_alive():
        return "dead"
    if not record.qmp:
        return "alive"
    try:
        with monitor(record) as qmp:
            state = run_state(qmp)
            note_moving(qmp, state, lab.note)
            return state
    except QmpError as error:
        lab.note(error.message)
        return "alive"
