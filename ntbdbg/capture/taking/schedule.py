# SPDX-License-Identifier: MIT
"""When captures are due: at once, every so often, when a guest panics; and where they go."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ntbdbg.capture.reading.capture import is_capture
from ntbdbg.capture.taking.making import remove
from ntbdbg.capture.taking.panic import INTERVAL, SETTLE, PanicWait
from ntbdbg.lab.address import CAPTURE_SUFFIX


class Due(NamedTuple):
    """A capture that is to be taken now, and why."""

    reason: str


class Schedule:
    """Gives a `Due` whenever a capture is to be taken.

    :param every: seconds from one to the next, None for none of these
    :param panic: waits for a panic, after which there is one more; None for none
    :param count: captures after which it ends
    :param timeout: seconds after which it ends
    :ivar missed: whether it ended without the panic that was awaited
    """

    def __init__(
        self,
        *,
        every: float | None = None,
        panic: PanicWait | None = None,
        count: int | None = None,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._every, self._panic = every, panic
        self._count, self._timeout = count, timeout
        self._clock, self._sleep = clock, sleep
        self.missed = panic is not None

    def __iter__(self) -> Iterator[Due]:
        start = due = self._clock()
        taken = 0
        while self._timeout is None or self._clock() - start < self._timeout:
            sign = self._panic.sign() if self._panic else None
            if sign is not None:
                self.missed = False
                self._sleep(SETTLE)
                yield Due(sign)
                return
            if self._every is not None and self._clock() >= due:
                due = self._clock() + self._every
                yield Due(f"every {self._every:g} s")
                taken += 1
                if taken == self._count:
                    return
                continue
            self._sleep(INTERVAL)


class Ring:
    """Captures ``NAME-0001.cap``, ``NAME-0002.cap``, … of which the last `keep` stay.

    Those of an earlier run count too: the numbers go on after theirs.
    """

    def __init__(self, path: str, keep: int) -> None:
        stem = os.path.normpath(path).removesuffix(CAPTURE_SUFFIX)
        self._folder, self._stem = os.path.split(os.path.abspath(stem))
        self._shown = stem
        self._keep = keep

    def next_path(self) -> str:
        """Where the next one goes."""
        numbers = self._numbers()
        return self._path(self._shown, (numbers[-1] if numbers else 0) + 1)

    def prune(self) -> None:
        """Remove all but the last ones; nothing that is no capture."""
        for number in self._numbers()[: -self._keep]:
            path = self._path(os.path.join(self._folder, self._stem), number)
            if is_capture(path):
                remove(path)

    def _numbers(self) -> list[int]:
        pattern = re.compile(rf"{re.escape(self._stem)}-(\d{{4,9}}){re.escape(CAPTURE_SUFFIX)}")
        found = (pattern.fullmatch(name) for name in os.listdir(self._folder))
        return sorted(int(match[1]) for match in found if match)

    @staticmethod
    def _path(stem: str, number: int) -> str:
        return f"{stem}-{number:04}{CAPTURE_SUFFIX}"
