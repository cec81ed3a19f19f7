# SPDX-License-Identifier: MIT
"""How a lab is to be looked at, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.lab.record import Record

if TYPE_CHECKING:
    from ntbdbg.budget import Budget

BudgetOf = Callable[[], "Budget | None"]


def no_budget() -> None:
    """Each walk has a budget of its own."""


class LabOptions(Record):
    """What the user said, or would have to say.

    :ivar machine: ``q35`` or ``pc``: memory map of bare RAM files
    :ivar segments: memory map of bare RAM files, ``GPA:SIZE:OFFSET,…``
    :ivar symbols: file with debug information (DWARF) of the guests' kernel
    :ivar notify: called with each note as it arises
    :ivar budget: gives what all that is asked of the guests' kernels may spend together; by
        default each walk has a budget of its own
    :ivar which_kernel: where a guest's RAM holds several kernels, the number of the one that is
        meant, as ``info`` tells it
    """

    machine: str | None = None
    segments: str | None = None
    symbols: str | None = None
    notify: Callable[[str], None] | None = None
    budget: BudgetOf = no_budget
    which_kernel: int | None = None

    @property
    def maps_files(self) -> bool:
        """Whether the user said where RAM lies in files that no run.json knows."""
        return bool(self.machine or self.segments)


DEFAULTS = LabOptions()
