# SPDX-License-Identifier: MIT
"""QEMU's own trace events, switched while a guest runs; they are written into its log."""

from __future__ import annotations

from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import GuestRecord
from ntbdbg.lab.qmp import Qmp
from run.base.errors import RunError, UsageError


def switch(record: GuestRecord, pattern: str, *, on: bool) -> list[str]:
    """Switch all events whose names match `pattern`; gives their names.

    :raises UsageError: none does
    :raises RunError: QEMU does not answer, or cannot trace
    """
    try:
        with Qmp(record.qmp, who=record.name) as qmp:
            found = qmp.execute("trace-event-get-state", name=pattern)
            names = [one["name"] for one in found if one["state"] != "unavailable"]
            if not names:
                raise UsageError(
                    f"{record.name}: no trace event is called {pattern!r:.60}",
                    hint="try '*ntb_*', in quotes, that the shell leaves it alone",
                )
            qmp.execute("trace-event-set-state", name=pattern, enable=on)
            return names
    except NtbdbgError as error:
        raise RunError(error.message, hint=error.hint) from error
