# SPDX-License-Identifier: MIT
"""The clock of a guest's log on the axis of the host's CLOCK_MONOTONIC.

A guest's timekeeper is as of its last tick. Of one that runs, a tick is awaited and its moment
narrowed down by the host's clock; of one that stands still, the recorder knows when it was
stopped, and the guest's next tick, which had not come yet, is the other bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.alive.clock import read_clocks
from ntbdbg.kernel.alive.logclock import read_log_clock
from ntbdbg.kernel.alive.ticks import read_tick
from ntbdbg.ntb.kinds import Kind

if TYPE_CHECKING:
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.ntb.recorder import Event

PATIENCE_NS = 1_500_000_000
"""How long a tick is awaited: an idle guest needs none for a while."""

PAUSE = 0.0005
"""Seconds between two looks."""


class Host(NamedTuple):
    """The host's clock and a way to wait."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], None] = time.sleep


class Correlation(NamedTuple):
    """Where a guest's log lies on the host's axis.

    :param offset_ns: host's CLOCK_MONOTONIC minus the log's clock, since the last pause
    :param error_ns: by so much either way it may be wrong; None where nothing bounds it
    :param pauses: when the machine stood still, from the first: its clocks did, too
    """

    offset_ns: int
    error_ns: int | None
    pauses: tuple[tuple[int, int], ...] = ()

    def host_ns(self, log_ns: int) -> int:
        """When a record of the log was written."""
        host = log_ns + self.offset_ns
        for stopped, went_on in reversed(self.pauses):
            if host >= went_on:
                break
            host -= went_on - stopped
        return host


def pauses_of(events: Sequence[Event], partition: int) -> tuple[list[tuple[int, int]], int | None]:
    """When the machine on `partition` stood still, and since when it does, None if it runs."""
    pauses, since = [], None
    for event in events:
        if event.partition != partition or event.kind != Kind.RUN:
            continue
        if not event.num:
            since = event.first_ns
        elif since is not None:
            pauses.append((since, event.first_ns))
            since = None
    return pauses, since


def correlate(
    kernel: Kernel, events: Sequence[Event], partition: int, *, runs: bool, host: Host | None = None
) -> Correlation:
    """Of the guest on `partition`.

    :param events: the story of all ports
    :param runs: whether its processors run right now
    :raises KernelError: its clocks cannot be read
    :raises FaultError: its memory is gone
    """
    pauses, since = pauses_of(events, partition)
    if runs:
        low, high = _by_a_tick(kernel, host or Host())
    else:
        end = since or _end_of(events, partition)
        low, high = _by_the_end(kernel, end)
    ahead, error = _log_clock(kernel)
    if low is None or error is None:
        return Correlation(high - ahead, None, tuple(pauses))
    middle = (low + high) // 2
    return Correlation(middle - ahead, (high - low) // 2 + error, tuple(pauses))


def _log_clock(kernel: Kernel) -> tuple[int, int | None]:
    try:
        ahead, spread = read_log_clock(kernel)
    except (KernelError, FaultError):
        return 0, None
    return ahead, spread


def _by_a_tick(kernel: Kernel, host: Host) -> tuple[int | None, int]:
    """Bounds of the host's clock minus the guest's CLOCK_MONOTONIC; no lower one without a tick."""
    begun = before = host.monotonic_ns()
    last = read_clocks(kernel).monotonic_ns
    while True:
        host.sleep(PAUSE)
        asked = host.monotonic_ns()
        now = read_clocks(kernel).monotonic_ns
        answered = host.monotonic_ns()
        if now != last:
            return before - now, answered - now
        if answered - begun > PATIENCE_NS:
            return None, answered - now
        before = asked


def _by_the_end(kernel: Kernel, end: int) -> tuple[int | None, int]:
    """The same of a guest that stands still since `end`."""
    now = read_clocks(kernel).monotonic_ns
    due = [tick.due_ns for cpu in kernel.online_cpus() if (tick := read_tick(kernel, cpu))]
    ahead = [one for one in due if one is not None and one >= now]
    return (end - min(ahead) if ahead else None), end - now


def _end_of(events: Sequence[Event], partition: int) -> int:
    """When a guest that nobody stopped was last heard of: its end, or its last own event."""
    gone = [e.last_ns for e in events if e.kind == Kind.PEER_GONE and e.peer == partition]
    own = [e.last_ns for e in events if e.partition == partition]
    return max(gone or own, default=0)
