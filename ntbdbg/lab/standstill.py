# SPDX-License-Identifier: MIT
"""The time in which all guests of a lab stand still, for whoever reads them meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.lab.migration import refuse_moving, run_state

if TYPE_CHECKING:
    from ntbdbg.lab.qmp import Qmp


class Standstill:
    """What `Lab.frozen` gives its block.

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
