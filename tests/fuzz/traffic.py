# SPDX-License-Identifier: MIT
"""What a hostile guest does, as lines of the qtest protocol.

Each function gives the lines of one deed: a single random access, or the steps of something
that leads deep into the device. One line is one access.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.device import port as nt

# Messages may be aimed anywhere in a guest's own RAM, and a BAR anywhere in its address space;
# neither is any business of these runs, which want to know that nothing else changes.
MSI_CAP = range(0xD0, 0xE0)
BARS = range(0x10, 0x28)
PM_CONTROL = 0xC4

BAR4_SIZE = 32 << 20
SUFFIX = {1: "b", 2: "w", 4: "l", 8: "q"}
GLOBAL_BASES = (0x0, 0x1000, 0x5000, 0x3E000, 0x3E200, 0x3E700, 0x3EC00, 0x3ED00, 0x3EE00, 0x3F1C0)
HIGH_HOME = 0x9_0000_0000


@dataclass
class Guest:
    """One port, as its guest addresses it, and the random numbers of that guest."""

    port: nt.Port
    ram_size: int
    rng: random.Random
    nports: int = 2
    bar2: int = field(init=False)

    def __post_init__(self) -> None:
        self.bar2 = self.home

    @property
    def home(self) -> int:
        return nt.BAR2 + nt.BAR_SPACING

    def value(self) -> int:
        """A 32-bit value that has a meaning somewhere."""
        rng = self.rng
        kind = rng.randrange(5)
        if kind == 0:
            return rng.choice((0, 1, 2, 3, nt.ALL_ONES))
        if kind == 1:
            return 1 << rng.randrange(32)
        return rng.getrandbits(32) if kind == 2 else rng.getrandbits(8)

    def target(self) -> int:
        """An address in the peer's domain, sane or not."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return rng.randrange(0, self.ram_size, 4096)
        if kind == 1:
            return rng.randrange(0, self.ram_size, 4)
        if kind == 2:
            return self.ram_size - rng.randrange(0, 1 << 22, 4)
        return rng.choice((0, rng.getrandbits(64) & ~3, 0xFFFF_FFFF_FFFF_F000, 1 << 32))

    def partition(self) -> int:
        return self.rng.choice(
            (0, 1, 1 - self.port.part, 1 - self.port.part, self.rng.randrange(8))
        )


def write(address: int, value: int, size: int = 4) -> str:
    return f"write{SUFFIX[size]} {address:#x} {value & (1 << 8 * size) - 1:#x}"


def read(address: int, size: int = 4) -> str:
    return f"read{SUFFIX[size]} {address:#x}"


def register(guest: Guest, offset: int, value: int) -> str:
    return write(guest.port.bar0 + offset, value)


def harmless(offset: int, size: int = 4) -> bool:
    touched = range(offset, offset + size)
    return not any(at in MSI_CAP or at in BARS for at in touched)


def any_register(guest: Guest) -> list[str]:
    rng = guest.rng
    offset = rng.randrange(0x400, 0x500, 4) if rng.random() < 0.9 else rng.randrange(0, 0x1000, 4)
    if not harmless(offset) or offset in (nt.GASAADDR, nt.GASADATA):
        return []
    return [register(guest, offset, guest.value())]


def any_unaligned_register(guest: Guest) -> list[str]:
    size = guest.rng.choice((1, 2, 4, 8))
    offset = guest.rng.randrange(0x400, 0xFF0)
    return [write(guest.port.bar0 + offset, guest.value(), size)]


def any_config(guest: Guest) -> list[str]:
    size = guest.rng.choice((1, 2, 4))
    offset = guest.rng.randrange(0x1000 - size)
    if not harmless(offset, size) or offset + size > nt.GASAADDR:
        return []
    return [write(guest.port.config + offset, guest.value(), size)]


def any_global(guest: Guest) -> list[str]:
    address = guest.rng.choice(GLOBAL_BASES) + guest.rng.randrange(0, 0x1000, 4)
    lines = [register(guest, nt.GASAADDR, address)]
    # the own image leads to the same configuration registers
    if harmless(address % 0x1000) and guest.rng.random() < 0.7:
        lines.append(register(guest, nt.GASADATA, guest.value()))
    return [*lines, read(guest.port.bar0 + nt.GASADATA)]


def any_read(guest: Guest) -> list[str]:
    size = guest.rng.choice((1, 2, 4, 8))
    base = guest.rng.choice((guest.port.bar0, guest.port.config))
    return [read(base + guest.rng.randrange(0x1000 - size), size)]


def any_window_access(guest: Guest) -> list[str]:
    rng = guest.rng
    size = rng.choice((1, 2, 4, 8))
    if rng.random() < 0.5:
        address = guest.bar2 + rng.randrange(nt.WINDOW_SIZE - size)
    else:
        address = guest.port.bar4 + rng.randrange(BAR4_SIZE - size)
    if rng.random() < 0.3:
        address &= ~0xFFF
    return [write(address, rng.getrandbits(8 * size), size), read(address, size)]


def any_window_block(guest: Guest) -> list[str]:
    rng = guest.rng
    size = rng.randrange(1, 300)
    address = rng.choice((guest.bar2, guest.port.bar4)) + rng.randrange(nt.WINDOW_SIZE - size)
    return [f"write {address:#x} {size:#x} 0x{rng.randbytes(size).hex()}"]


def direct_window(guest: Guest) -> list[str]:
    rng = guest.rng
    target, part = guest.target(), guest.partition()
    size = rng.choice((0, 1, 1024, 4096, nt.WINDOW_SIZE, rng.randrange(nt.WINDOW_SIZE)))
    limit = guest.bar2 + size if rng.random() < 0.9 else rng.getrandbits(64)
    steps = [
        (nt.BARSETUP2, 0x8000015C | part << 13),
        (nt.BARLTBASE2, target),
        (nt.BARUTBASE2, target >> 32),
        (nt.BARLIMIT2, limit),
        (nt.BARLIMIT3, limit >> 32),
    ]
    return [register(guest, offset, value) for offset, value in steps]


def lookup_window(guest: Guest) -> list[str]:
    rng = guest.rng
    target = guest.target()
    valid = nt.LUT_VALID if rng.random() < 0.8 else 0
    steps = [
        (nt.LUTOFFSET, rng.choice((4, 4, 4, 2, rng.randrange(8))) << 8 | rng.randrange(32)),
        (nt.LUTLDATA, target),
        (nt.LUTMDATA, target >> 32),
        (nt.LUTUDATA, valid | guest.partition()),
    ]
    return [register(guest, offset, value) for offset, value in steps]


def move_bar(guest: Guest) -> list[str]:
    guest.bar2 = guest.rng.choice((guest.home, guest.home + 2 * nt.WINDOW_SIZE, HIGH_HOME))
    config = guest.port.config
    return [write(config + 0x18, guest.bar2), write(config + 0x1C, guest.bar2 >> 32)]


def message(guest: Guest) -> list[str]:
    rng = guest.rng
    m = rng.randrange(4)
    route = guest.partition() << 4 | rng.randrange(4)
    return [
        register(guest, nt.GASAADDR, nt.SWPMSGCTL + 0x20 * m + 4 * guest.port.part),
        register(guest, nt.GASADATA, route),
        register(guest, nt.OUTMSG0 + 4 * m, guest.value()),
        register(guest, nt.MSGSTS, rng.choice((0xF000F, 0xF, 0, 0xF0000))),
    ]


def doorbells(guest: Guest) -> list[str]:
    return [
        register(guest, nt.OUTDBELLSET, guest.value()),
        register(guest, nt.INDBELLMSK, guest.value()),
        read(guest.port.bar0 + nt.NTINTSTS),
        register(guest, nt.INDBELLSTS, guest.value()),
    ]


def interrupts(guest: Guest) -> list[str]:
    """Masks, and MSI on and off; its address stays where it is."""
    return [
        register(guest, nt.NTINTMSK, guest.value()),
        write(guest.port.config + nt.MSI_CAP + 2, guest.rng.randrange(2), 2),
        register(guest, nt.NTINTSTS, guest.value()),
    ]


def close_and_open(guest: Guest) -> list[str]:
    lines = [register(guest, nt.NTCTL, 0), register(guest, nt.NTCTL, nt.CPEN)]
    return lines if guest.rng.random() < 0.5 else lines[:1]


def recover(guest: Guest) -> list[str]:
    """Now and then a sane state, so that deeper code is reached as well."""
    config, part = guest.port.config, guest.port.part
    guest.bar2 = guest.home
    command = nt.COMMAND_MEMORY | nt.COMMAND_MASTER
    return [
        write(config + PM_CONTROL, 0, 2),
        write(config + 0x10, guest.port.bar0),
        write(config + 0x18, guest.bar2),
        write(config + 0x1C, 0),
        write(config + 0x20, guest.port.bar4),
        write(config + 0x24, 0),
        write(config + nt.PCI_COMMAND, command, 2),
        register(guest, nt.NTCTL, nt.CPEN),
        register(guest, nt.NTMTBLADDR, part),
        register(guest, nt.NTMTBLDATA, 1 | part << 17),
        register(guest, nt.NTGSIGNAL, 1),
    ]


def use_windows(guest: Guest) -> list[str]:
    """Windows that should be open, page-aligned or not, and accesses about their edges."""
    rng, peer = guest.rng, 1 - guest.port.part
    lines = recover(guest)
    target = rng.randrange(1 << 20, guest.ram_size - nt.WINDOW_SIZE, rng.choice((4, 1024, 4096)))
    size = rng.choice((nt.WINDOW_SIZE, rng.randrange(1, nt.WINDOW_SIZE)))
    slot = nt.WINDOW_SIZE * rng.randrange(12)
    steps = [
        (nt.BARSETUP2, 0x8000015C | peer << 13),
        (nt.BARLTBASE2, target),
        (nt.BARUTBASE2, 0),
        (nt.BARLIMIT2, guest.bar2 + size),
        (nt.BARLIMIT3, 0),
        (nt.LUTOFFSET, 4 << 8 | slot // nt.WINDOW_SIZE),
        (nt.LUTLDATA, target),
        (nt.LUTMDATA, 0),
        (nt.LUTUDATA, nt.LUT_VALID | peer),
    ]
    lines += [register(guest, offset, value) for offset, value in steps]
    for base in (guest.bar2, guest.port.bar4 + slot):
        for _ in range(4):
            width = rng.choice((1, 2, 4, 8))
            edge = rng.choice((0, size, -target % 4096, rng.randrange(nt.WINDOW_SIZE)))
            offset = min(max(edge + rng.randrange(-9, 9), 0), nt.WINDOW_SIZE - width)
            lines += [write(base + offset, rng.getrandbits(64), width), read(base + offset, width)]
    return lines


Deed = Callable[[Guest], list[str]]

WEIGHTS: dict[Deed, int] = {
    any_register: 24,
    any_unaligned_register: 2,
    any_config: 8,
    any_global: 12,
    any_read: 8,
    any_window_access: 16,
    any_window_block: 2,
    direct_window: 4,
    lookup_window: 6,
    move_bar: 1,
    message: 5,
    doorbells: 5,
    interrupts: 3,
    close_and_open: 1,
    recover: 4,
    use_windows: 6,
}
_DEEDS = list(WEIGHTS)
_WEIGHTS = list(WEIGHTS.values())


def lines_of(guest: Guest, at_least: int) -> list[str]:
    """Deeds of a guest until they are that many accesses."""
    lines: list[str] = []
    while len(lines) < at_least:
        for deed in guest.rng.choices(_DEEDS, _WEIGHTS, k=16):
            lines += deed(guest)
    return lines
