# SPDX-License-Identifier: MIT
"""The same against ports of endpoint functions: what their guests do, and what must stay true.

A victim lends a buffer to its peer. The hostile guest may write there, and nowhere else.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.device.deadline import eventually
from tests.device.epf import support as epf
from tests.device.epf.support import EpfBench, EpfPort, link
from tests.device.function import ALL_ONES, COMMAND_MASTER, COMMAND_MEMORY, PCI_COMMAND
from tests.fuzz.campaign import BATCH, Campaign
from tests.fuzz.traffic import BARS, PM_CONTROL, read, write

LENT, LENT_SIZE = 0x1000000, 0x100000
"""What a victim lends, in its guest's memory."""
MESSAGES = 0x1000
"""Bytes from a port's `msi_address` on that its interrupts may write."""


@dataclass
class EpfGuest:
    """One port, as its guest addresses it, and the random numbers of that guest."""

    port: EpfPort
    ram_size: int
    rng: random.Random

    @property
    def home(self) -> int:
        return self.port.bar4

    bar2: int = 0  # windows do not move here

    def value(self) -> int:
        """A 32-bit value that has a meaning somewhere."""
        rng = self.rng
        few = rng.choice((0, 1, 2, 3, 5, 6, epf.USE_MSIX | rng.randrange(40), ALL_ONES))
        return rng.choice((few, few, 1 << rng.randrange(32), rng.getrandbits(32)))

    def target(self) -> int:
        """An address in the own memory, sane or not."""
        rng = self.rng
        page = rng.randrange(0, self.ram_size, 4096)
        odd = rng.choice((page + 4, self.ram_size - 4096, 2**64 - 4096, rng.getrandbits(64)))
        return page if rng.random() < 0.7 else odd


def any_register(guest: EpfGuest) -> list[str]:
    rng = guest.rng
    size = rng.choice((1, 2, 4, 4, 4, 8))
    offset = rng.randrange(0x140 - size) if rng.random() < 0.3 else rng.randrange(0, 0x40, 4)
    return [write(guest.port.bar0 + offset, guest.value(), size)]


def any_read(guest: EpfGuest) -> list[str]:
    size = guest.rng.choice((1, 2, 4, 8))
    base = guest.rng.choice((guest.port.bar0, guest.port.bar0 + 0x1000, guest.port.bar2))
    return [read(base + guest.rng.randrange(0x1000 - size), size)]


def any_config(guest: EpfGuest) -> list[str]:
    """Not the BARs, which a guest may aim anywhere."""
    size = guest.rng.choice((1, 2, 4))
    offset = guest.rng.randrange(0x1000 - size)
    if any(at in BARS for at in range(offset, offset + size)):
        return []
    return [write(guest.port.config + offset, guest.value(), size)]


def scratchpads(guest: EpfGuest) -> list[str]:
    at = guest.port.bar0 + epf.SPADS + 4 * guest.rng.randrange(80)
    return [write(at, guest.value()), read(at), write(at, 0, 2)]


def doorbells(guest: EpfGuest) -> list[str]:
    rings = guest.rng.randrange(1, 8)
    return [
        write(guest.port.bar2 + 4 * guest.rng.randrange(34), guest.value()) for _ in range(rings)
    ]


def masks(guest: EpfGuest) -> list[str]:
    """Of vectors; where messages go stays as it is."""
    entry = epf.MSIX_TABLE + 16 * guest.rng.randrange(guest.port.vectors)
    control = guest.port.config + epf.MSIX_CAP + 2
    return [
        write(guest.port.bar0 + entry + 12, guest.rng.randrange(2)),
        write(control, guest.rng.choice((0, 0x8000, 0x8000, 0xC000)), 2),
    ]


def command(guest: EpfGuest) -> list[str]:
    base = guest.port.bar0
    chosen = guest.rng.choice((1, 2, 3, 3, 3, 4, 4, 5, 5, 6, guest.rng.getrandbits(32)))
    argument = guest.rng.choice((0, 1, guest.value()))
    return [write(base + epf.ARGUMENT, argument), write(base + epf.COMMAND, chosen)]


def window(guest: EpfGuest) -> list[str]:
    rng, base = guest.rng, guest.port.bar0
    target = guest.target()
    size = rng.choice((epf.WINDOW_SIZE, 4096, 1, rng.randrange(1, epf.WINDOW_SIZE)))
    staged = {epf.LOWER_ADDR: target, epf.UPPER_ADDR: target >> 32}
    staged |= {epf.LOWER_SIZE: size, epf.UPPER_SIZE: rng.choice((0, 0, 0, 1))}
    lines = [write(base + offset, value) for offset, value in staged.items()]
    lines.append(write(base + epf.ARGUMENT, rng.randrange(3)))
    return [*lines, write(base + epf.COMMAND, epf.CONFIGURE_MW)]


def use_window(guest: EpfGuest) -> list[str]:
    rng = guest.rng
    size = rng.choice((1, 2, 4, 8))
    base = rng.choice((guest.port.bar4, guest.port.bar4, guest.port.bar5))
    near = rng.choice((0, LENT_SIZE, epf.WINDOW_SIZE, rng.randrange(epf.WINDOW_SIZE)))
    offset = min(max(near + rng.randrange(-9, 9), 0), epf.WINDOW_SIZE - size)
    return [write(base + offset, rng.getrandbits(64), size), read(base + offset, size)]


def recover(guest: EpfGuest) -> list[str]:
    """Now and then a sane state, so that deeper code is reached as well."""
    port = guest.port
    command = COMMAND_MEMORY | COMMAND_MASTER
    lines = [write(port.config + PM_CONTROL, 0, 2)]
    for at, bar in ((0x10, port.bar0), (0x18, port.bar2), (0x20, port.bar4), (0x24, port.bar5)):
        lines.append(write(port.config + at, bar))
    lines.append(write(port.config + PCI_COMMAND, command, 2))
    for one, argument in ((epf.CONFIGURE_DOORBELL, epf.USE_MSIX | 8), (epf.LINK_UP, 0)):
        lines.append(write(port.bar0 + epf.ARGUMENT, argument))
        lines.append(write(port.bar0 + epf.COMMAND, one))
    return lines


WEIGHTS: dict[Callable[[EpfGuest], list[str]], int] = {
    any_register: 16,
    any_read: 6,
    any_config: 6,
    scratchpads: 8,
    doorbells: 8,
    masks: 3,
    command: 8,
    window: 6,
    use_window: 24,
    recover: 4,
}
_DEEDS, _WEIGHTS = list(WEIGHTS), list(WEIGHTS.values())


class EpfCampaign(Campaign):
    """Two ports of endpoint functions."""

    bench = EpfBench
    guest = EpfGuest

    def lines(self, guest: Any) -> list[str]:
        lines: list[str] = []
        while len(lines) < BATCH:
            for deed in guest.rng.choices(_DEEDS, _WEIGHTS, k=16):
                lines += deed(guest)
        return lines

    def _both_hostile(self) -> None:
        """A RAM table is read once in a port's life: after a damaged one, another life begins."""
        super()._both_hostile()
        for part in (0, 1):
            self._bench.page.put(part, "incarnation", self._rng.getrandbits(64))

    def private(self, victim: Any) -> dict[str, object]:
        page = victim.qemu.read_bytes(victim.bar0, 0x1000)
        words = {hex(at): page[at : at + 2] for at in range(0, 0x134, 2)}
        del words[hex(epf.LINK_STATUS)]
        words["MSI-X"] = victim.qemu.read_bytes(victim.bar0 + epf.MSIX_TABLE, 16 * victim.vectors)
        words["memory that is not lent"] = self._kept(victim)
        return words

    def _kept(self, victim: EpfPort) -> bytes:
        ram = bytearray(self._bench.ram(victim.part).read_bytes())
        for at, size in ((LENT, LENT_SIZE), (victim.msi_address, MESSAGES)):
            ram[at : at + size] = bytes(size)
        return hashlib.blake2b(ram, digest_size=16).digest()

    def take_interrupts(self, port: Any) -> None:
        port.raised()

    def _revive(self) -> None:
        a, b = self.ports
        for port in (a, b):
            port.reset()
            port.setup()
        link(a, b)
        for sender, receiver in ((a, b), (b, a)):
            late = receiver.stat("quiesce_timeouts")
            assert receiver.set_window(LENT, LENT_SIZE) == epf.OK
            if receiver.stat("quiesce_timeouts") != late:  # a host that was busy elsewhere
                eventually(sender.window_open, "the window")
            sender.ring(3)
            receiver.settle()
            assert receiver.raised() == {3}, "doorbells do not pass"
            sender.qemu.write(sender.bar4 + 64, self.rounds)
            assert receiver.qemu.read(LENT + 64) == self.rounds, "nothing passes the window"
