# SPDX-License-Identifier: MIT
"""The monitors (QMP) of a lab's guests, and what they say of how each one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import QmpError
from ntbdbg.lab.migration import note_moving, run_state

if TYPE_CHECKING:
    from ntbdbg.lab.manifest import GuestRecord
    from ntbdbg.lab.place import LabLike
    from ntbdbg.lab.qmp import Qmp


def monitor(record: GuestRecord) -> Qmp:
    """The toolkit's QMP conversation with a guest, to be opened by ``with``, and briefly."""
    from ntbdbg.lab.qmp import Qmp

    if not record.is_alive():
        raise QmpError(
            f"{record.name} does not run, so nothing can stop or continue it",
            hint="its RAM can still be read",
        )
    return Qmp(record.qmp, who=record.name)


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
    try:
        with monitor(record) as qmp:
            state = run_state(qmp)
            note_moving(qmp, state, lab.note)
            return state
    except QmpError as error:
        lab.note(error.message)
        return "alive"
