# SPDX-License-Identifier: MIT
"""A tool that overwrites the shared page, and one that puts it back."""

from __future__ import annotations

import random

from tests.device.switch import HEADER_SIZE, PORT_OFF, PORT_SIZE, PORT_STRIDE, Page


class Scribbler:
    """Damages a page at random; `repair` makes it what it was."""

    def __init__(self, page: Page, rng: random.Random, ports: int = 2) -> None:
        self._page = page
        self._rng = rng
        self._ports = ports
        self._whole = bytes(page.bytes)
        self.count = 0

    def damage(self) -> None:
        """One word, one field, or a block of bytes."""
        rng, bytes_ = self._rng, self._page.bytes
        self.count += 1
        part = rng.randrange(self._ports)
        kind = rng.randrange(8)
        if kind == 0:
            at = rng.randrange(0, PORT_OFF + self._ports * PORT_STRIDE - 8)
            bytes_[at : at + 8] = rng.randbytes(8)
        elif kind == 1:
            size = rng.randrange(1, 0x100)
            at = PORT_OFF + part * PORT_STRIDE + rng.randrange(PORT_SIZE - size)
            bytes_[at : at + size] = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))
        elif kind == 2:
            at = rng.randrange(HEADER_SIZE)
            bytes_[at] = rng.randrange(256)
        else:
            name = rng.choice(list(self._page.fields))
            values = self._page.get_all(part, name)
            self._page.put(part, name, *(self._value(value) for value in values))
        # a kick that is believed to be pending is never sent
        self._page.put(part, "kick_pending", 0)

    def _value(self, now: int) -> int:
        rng = self._rng
        return rng.choice((0, 1, 2, now, now ^ 1 << rng.randrange(32), rng.getrandbits(32)))

    def repair(self) -> None:
        self._page.bytes[:] = self._whole
        for part in range(self._ports):
            self._page.put(part, "kick_pending", 0)
