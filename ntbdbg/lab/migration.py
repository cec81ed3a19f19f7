# SPDX-License-Identifier: MIT
"""Guests on the move: while one migrates, its run state belongs to the migration.

A guest that was stopped meanwhile and is continued afterwards may run twice, at its source and
at its destination.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.errors import TargetError

if TYPE_CHECKING:
    from ntbdbg.lab.qmp import Qmp

MOVING = frozenset(
    {
        "setup",
        "active",
        "pre-switchover",
        "device",
        "wait-unplug",
        "postcopy-device",
        "postcopy-active",
        "postcopy-paused",
        "postcopy-recover-setup",
        "postcopy-recover",
        "cancelling",
        "colo",
    }
)
"""``MigrationStatus`` of QEMU's qapi/migration.json, as long as it may still change hands."""

UNSETTLED = frozenset({"inmigrate", "finish-migrate", "save-vm", "restore-vm"})
"""``RunState`` of qapi/run-state.json in which QEMU itself stops and continues the guest."""


def run_state(qmp: Qmp) -> str:
    """QEMU's run state: ``running``, ``paused``, ``guest-panicked``, …"""
    return str(qmp.execute("query-status")["status"])


def moving(qmp: Qmp, state: str) -> str | None:
    """What is going on, as a word of QEMU's, if the guest is on the move; else None.

    :param state: its run state
    """
    if state in UNSETTLED:
        return state
    status = str(qmp.execute("query-migrate").get("status", "none"))
    return status if status in MOVING else None


def refuse_moving(qmp: Qmp, state: str) -> None:
    """Raise TargetError if the guest is on the move."""
    word = moving(qmp, state)
    if word is not None:
        raise TargetError(
            f"{qmp.who} is being migrated, saved or loaded ({word}), so it is neither stopped "
            "nor continued",
            hint="wait until that is over, or end it by its own monitor (migrate_cancel)",
        )


def note_moving(qmp: Qmp, state: str, note: Callable[[str], None]) -> None:
    """Tell if memory may lack what has not arrived yet: it reads as zeros until then."""
    word = moving(qmp, state)
    if word is not None:
        note(f"{qmp.who} is being migrated, saved or loaded ({word}): memory may not be whole")
