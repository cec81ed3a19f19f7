# SPDX-License-Identifier: MIT
"""Sample, compare, report: over and over until something ends it.

Pure: clocks and sleep are arguments, sampling is the probes' matter, printing the caller's.
What changes and changes back between two samples is not seen; `WatchStats` tells how long
the longest of these gaps was.
"""

from __future__ import annotations

import enum
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ntbdbg.inspect.changes import Change, Probe

MAX_CHANGES = 1000
"""Changes reported of one sample; more are counted (a guest may change every other byte)."""


_TICK = 1e-6
"""Seconds; rounding may wake us this much too early, no later sleep would make it up."""


class Clock(NamedTuple):
    """Time and sleep.

    :ivar monotonic: seconds from some start, never backwards
    :ivar wall: seconds since the epoch
    :ivar sleep: waits that many seconds
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Ended(enum.Enum):
    """Why a watch ended."""

    COUNT = "the asked number of changes was seen"
    UNTIL = "the condition holds"
    TIMEOUT = "time is up"


class Sample(NamedTuple):
    """One look at all probes.

    :ivar number: 0 for the first, which everything later is compared with
    :ivar monotonic: seconds, just before the first probe was read
    :ivar wall: seconds since the epoch, at the same moment
    :ivar changes: since the sample before
    :ivar omitted: further changes, beyond `MAX_CHANGES` or the asked count
    """

    number: int
    monotonic: float
    wall: float
    changes: tuple[Change, ...]
    omitted: int = 0


@dataclass
class WatchStats:
    """How well the watch could see. `elapsed` and `longest_gap` are in seconds.

    :ivar longest_gap: longest time between two samples: what was shorter may be missed
    """

    samples: int = 0
    changes: int = 0
    elapsed: float = 0.0
    longest_gap: float = 0.0

    @property
    def rate(self) -> float:
        """Samples per second."""
        return (self.samples - 1) / self.elapsed if self.elapsed > 0 else 0.0


class Watcher:
    """Iterate to get a `Sample` for each one that changed, the first one included.

    :param probes: what to look at
    :param interval: seconds from one sample to the next; 0: as fast as possible. Samples that
        come too late are left out, never made up for
    :param count: end after this many changes
    :param timeout: end after this many seconds
    :param until: ends the watch when true of the probes' states, the first ones included
    :param heartbeat: give a sample at least this often (seconds), changed or not
    :ivar stats: up to date whenever a sample is given, and at the end
    :ivar ended: None while it goes on
    :ivar states: what each probe read last
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        *,
        interval: float = 0.1,
        count: int | None = None,
        timeout: float | None = None,
        until: Callable[[Sequence[Any]], bool] | None = None,
        heartbeat: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.stats = WatchStats()
        self.ended: Ended | None = None
        self.states: list[Any] = []
        self._probes = list(probes)
        self._interval = interval
        self._count = count
        self._timeout = timeout
        self._until = until
        self._heartbeat = heartbeat
        self._clock = clock or Clock()
        self._due = 0

    def __iter__(self) -> Iterator[Sample]:
        clock = self._clock
        start = last = shown = clock.monotonic()
        for number in itertools.count():
            now, wall = clock.monotonic(), clock.wall()
            sample = self._sample(number, now, wall)
            self._measure(number, now - start, now - last)
            last = now
            if number == 0 or sample.changes or self.ended or self._beats(now - shown):
                shown = now
                yield sample
            if self.ended:
                return
            if self._timeout is not None and clock.monotonic() - start >= self._timeout - _TICK:
                self.ended = Ended.TIMEOUT
                return
            self._wait(start)

    def _measure(self, number: int, elapsed: float, gap: float) -> None:
        self.stats.samples = number + 1
        self.stats.elapsed = elapsed
        self.stats.longest_gap = max(self.stats.longest_gap, gap)

    def _beats(self, quiet: float) -> bool:
        return self._heartbeat is not None and quiet >= self._heartbeat

    def _sample(self, number: int, now: float, wall: float) -> Sample:
        states = [probe.read() for probe in self._probes]
        found: list[Change] = []
        omitted = 0
        if number and states != self.states:
            found, omitted = self._changes(states)
        self.states = states
        self.stats.changes += len(found)
        if self._until is not None and self._until(states):
            self.ended = Ended.UNTIL
        elif self._count is not None and self.stats.changes >= self._count:
            self.ended = Ended.COUNT
        return Sample(number, now, wall, tuple(found), omitted)

    def _changes(self, states: Sequence[Any]) -> tuple[list[Change], int]:
        found = itertools.chain.from_iterable(
            probe.changes(old, new)
            for probe, old, new in zip(self._probes, self.states, states, strict=True)
        )
        limit = MAX_CHANGES
        if self._count is not None:
            limit = min(limit, self._count - self.stats.changes)
        kept = list(itertools.islice(found, limit))
        return kept, sum(1 for _ in found)

    def _wait(self, start: float) -> None:
        """Sleep until the next due time; the ones already past are dropped."""
        elapsed = self._clock.monotonic() - start
        if self._interval > 0:
            # At least one further than the last: rounding must not make a due time come twice.
            self._due = max(self._due + 1, int(elapsed / self._interval) + 1)
            due = self._due * self._interval
            if self._timeout is not None:
                due = min(due, self._timeout)
            self._clock.sleep(max(0.0, due - elapsed))
