# SPDX-License-Identifier: MIT
"""The shared page of guests that were stopped, once nothing in it moves any more.

QEMU's main loop runs on when its processors stand still: what a peer rang before is still taken
in. So the page is quiet only when it has not changed for a while and nobody is about to be woken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbError
from ntbdbg.ntb.decode import decode_header
from ntbdbg.ntb.model import PortState
from ntbdbg.ntb.sharedpage import word

if TYPE_CHECKING:
    from ntbdbg.ntb.model import PageHeader

QUIET = 0.005
"""Seconds without a change after which the page is taken as settled."""

LIMIT = 0.5
"""Seconds after which it is given up: guests stand still meanwhile."""

STEP = 0.001
"""Seconds between two looks."""


class Settler:
    """Looks at the page now, and until it is quiet when asked to.

    :param read: gives all bytes of the page
    :param alive: partitions whose QEMU lives; others never take in what was rung
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        alive: Collection[int],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read, self._alive = read, alive
        self._clock, self._sleep = clock, sleep
        self._data = read()
        self._since = self._start = clock()

    def settled(self, *, wait: bool = True) -> tuple[bytes, bool]:
        """The page, and whether it came to rest within `LIMIT` seconds of the first look.

        :param wait: whether to wait for that
        """
        while True:
            data, now = self._read(), self._clock()
            if data != self._data:
                self._data, self._since = data, now
            elif now - self._since >= QUIET and not pending_kicks(data, self._alive):
                return data, True
            if not wait or now - self._start >= LIMIT:
                return data, False
            self._sleep(STEP)


def pending_kicks(data: bytes, alive: Collection[int]) -> tuple[int, ...]:
    """Partitions among `alive` that were rung and have not looked yet; none in a senseless page."""
    try:
        header = decode_header(data, "shared page")
    except NtbError:
        return ()
    return tuple(
        part for part in range(header.nports) if part in alive and _rung(data, header, part)
    )


def _rung(data: bytes, header: PageHeader, part: int) -> bool:
    attached = word(data, header, part, "state") == PortState.ATTACHED
    return attached and bool(word(data, header, part, "kick_pending"))
