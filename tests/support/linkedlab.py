# SPDX-License-Identifier: MIT
"""A FakeLab whose guests are joined by a FakeSwitch."""

from __future__ import annotations

from pathlib import Path

from ntbdbg.memory.base import Segment
from tests.support.fakelab import FakeLab
from tests.support.fakeswitch import FakeSwitch

MIB = 1 << 20
TARGET = 2 * MIB
"""Where qemu1's window leads in qemu2, and the other way round."""

SIZE = 0x10000


class LinkedLab(FakeLab):
    """qemu1 and qemu2, 16 MiB each, linked; mw0 of both open, 64 KiB to `TARGET` of the other.

    Change `switch`, then `publish`.
    """

    def __init__(self, root: Path) -> None:
        self.switch = FakeSwitch()
        for part in (0, 1):
            self.switch.publish_ram(part, [Segment(MIB, 15 * MIB, MIB)])
        self.switch.link_up()
        for part in (0, 1):
            self.switch.translate(part, address=TARGET, size=SIZE)
        super().__init__(root, page=self.switch.build())

    @property
    def page(self) -> Path:
        """The shared page's file."""
        assert self.manifest.link is not None
        return Path(self.manifest.link.shared_page)

    def publish(self) -> None:
        """Write the switch's state into the page."""
        self.switch.save(self.page)
