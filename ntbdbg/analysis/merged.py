# SPDX-License-Identifier: MIT
"""The kernels' logs beside the link's story, on its axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.analysis.correlate import correlate
from ntbdbg.analysis.summary import state_of
from ntbdbg.errors import NtbdbgError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ntbdbg.analysis.correlate import Correlation
    from ntbdbg.analysis.recorded import Recorded
    from ntbdbg.kernel.log.ring import LogRecord
    from ntbdbg.lab.lab import Lab

RUNNING = "running"


@dataclass(frozen=True)
class GuestLog:
    """A guest's log with its place on the host's axis; `problem` where there is none."""

    guest: str
    records: tuple[LogRecord, ...] = ()
    correlation: Correlation | None = None
    problem: str = ""

    def placed(self) -> Iterator[tuple[int, LogRecord]]:
        """Each record with the host's CLOCK_MONOTONIC, ns."""
        if self.correlation is not None:
            for record in self.records:
                yield self.correlation.host_ns(record.time_ns), record

    def note(self) -> str:
        """How sure the times are, for people."""
        if self.problem:
            return f"{self.guest}: its log is left out: {self.problem}"
        error = self.correlation.error_ns if self.correlation else None
        if error is None:
            return (
                f"{self.guest}: its log's place in time is a guess: no tick of its clock was seen"
            )
        return f"{self.guest}: its log's times are right to {error / 1e6:.1f} ms"


def guest_logs(lab: Lab, story: Recorded, partitions: Collection[int]) -> list[GuestLog]:
    """Of the guests on `partitions`; what cannot be read is told, never raised."""
    return [_log(lab, story, partition) for partition in sorted(partitions)]


def _log(lab: Lab, story: Recorded, partition: int) -> GuestLog:
    from ntbdbg.kernel.log.logtail import LogTail

    name = story.name(partition)
    try:
        guest = lab.guest_of_partition(partition)
        runs = guest.is_live and lab.stillness() is None and state_of(guest) == RUNNING
        found = correlate(guest.kernel, story.story.events, partition, runs=runs)
        return GuestLog(name, LogTail(guest.find_kernel).poll().records, found)
    except NtbdbgError as error:
        return GuestLog(name, problem=error.message)
