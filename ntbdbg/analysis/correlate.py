# SPDX-License-Identifier: MIT
"""The clock of a guest's log on the axis of the host's CLOCK_MONOTONIC.

A guest's timekeeper is as of its last tick. Of one that runs, ticks are awaited and their moments
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

PATIENCE_NS = 1_000_000_000
"""How long ticks are looked for: an idle guest needs none for a while."""

GOOD_NS = 4_000_000
"""Bounds so close together are close enough."""

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
        bounds = _while_it_runs(kernel, host or Host())
    else:
        bounds = _at_a_standstill(kernel, since or _end_of(events, partition))
    ahead, error = _log_clock(kernel)
    if bounds.low is None or error is None:
        return Correlation(bounds.high - ahead, None, tuple(pauses))
    middle = (bounds.low + bounds.high) // 2
    return Correlation(middle - ahead, (bounds.high - bounds.low) // 2 + error, tuple(pauses))


class _Bounds(NamedTuple):
    """Of the host's clock minus the guest's CLOCK_MONOTONIC, ns; low may not be known."""

    low: int | None
    high: int

    @property
    def width(self) -> int | None:
        return None if self.low is None else self.high - self.low

    def narrowed(self, low: int | None, high: int) -> _Bounds:
        """With what another look says; one that contradicts the others says nothing."""
        lows = [one for one in (self.low, low) if one is not None]
        found = _Bounds(max(lows, default=None), min(self.high, high))
        return self if found.low is not None and found.low > found.high else found


def _log_clock(kernel: Kernel) -> tuple[int, int | None]:
    try:
        ahead, spread = read_log_clock(kernel)
    except (KernelError, FaultError):
        return 0, None
    return ahead, spread


def _while_it_runs(kernel: Kernel, host: Host) -> _Bounds:
    """A tick that comes between two looks bounds both ways; the next one that is due, from below.

    The guest's clock is as of its last tick: it is ahead of what is read, and behind the tick that
    is still to come.
    """
    begun = before = host.monotonic_ns()
    last = read_clocks(kernel).monotonic_ns
    bounds = _Bounds(None, host.monotonic_ns() - last)
    bounds = bounds.narrowed(_below(kernel, begun, last), bounds.high)
    while bounds.width is None or bounds.width > GOOD_NS:
        host.sleep(PAUSE)
        asked = host.monotonic_ns()
        now = read_clocks(kernel).monotonic_ns
        answered = host.monotonic_ns()
        ticked = before - now if now != last else None
        bounds = bounds.narrowed(ticked, answered - now)
        if answered - begun > PATIENCE_NS:
            break
        before, last = asked, now
    return bounds


def _at_a_standstill(kernel: Kernel, end: int) -> _Bounds:
    """The same of a guest that stands still since `end`."""
    now = read_clocks(kernel).monotonic_ns
    return _Bounds(_below(kernel, end, now), end - now)


def _below(kernel: Kernel, when: int, now: int) -> int | None:
    """By the next tick of any CPU, which has not come at `when`; `now` is the guest's clock."""
    due = [read_tick(kernel, cpu).due_ns for cpu in kernel.online_cpus()]
    ahead = [one for one in due if one is not None and one >= now]
    return when - min(ahead) if ahead else None


def _end_of(events: Sequence[Event], partition: int) -> int:
    """When a guest that nobody stopped was last heard of: its end, or its last own event."""
    gone = [e.last_ns for e in events if e.kind == Kind.PEER_GONE and e.peer == partition]
    own = [e.last_ns for e in events if e.partition == partition]
    return max(gone or own, default=0)
