# SPDX-License-Identifier: MIT
"""QEMU's own trace events, switched while a guest runs; they are written into its log."""

from __future__ import annotations

from ntbdbg.lab.manifest import GuestRecord
from run.base.errors import UsageError
from run.lab.asked import asked


def switch(record: GuestRecord, pattern: str, *, on: bool) -> list[str]:
    """Switch all events whose names match `pattern`; gives their names.

    :raises UsageError: none does
    :raises RunError: QEMU does not answer, or cannot trace
    """
    with asked(record) as qmp:
        found = qmp.execute("trace-event-get-state", name=pattern)
        names = [one["name"] for one in found if one["state"] != "unavailable"]
        if not names:
            raise UsageError(
                f"{record.name}: no trace event is called {pattern!r:.60}",
                hint="try '*ntb_*', in quotes, that the shell leaves it alone",
            )
        qmp.execute("trace-event-set-state", name=pattern, enable=on)
        return names
