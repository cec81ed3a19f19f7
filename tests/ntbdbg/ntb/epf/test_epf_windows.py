# SPDX-License-Identifier: MIT
"""Windows between ports of endpoint functions: where they lead, and why they are closed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ntbdbg.ntb import page
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.epf.area import BAD_SIZE, MODEL, MW_REFUSED, MW_SET, layout
from ntbdbg.ntb.model import Link, Piece, Why
from tests.support.fakeswitch import FakeSwitch

BARSETUP = (32 << 8 | 14, 0, 12, 0, 21, 21)
TARGET, SIZE = 0x1000000, 2 << 20


@dataclass
class EpfSwitch:
    """Two attached ports; each has led the other's window 0 into its guest's RAM."""

    plain: FakeSwitch = field(default_factory=lambda: FakeSwitch(barsetup=BARSETUP))
    areas: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plain.header.update({"model": MODEL, "port_bitmap": 3})
        struct = layout("little").area
        for part in (0, 1):
            self.plain.port(part).update({"port": part, "pcicmd": 6, "mw_open": 1})
            self.plain.port(part).bar_addr[4] = 0xFD000000
            self.areas.append(struct.parse(bytes(struct.sizeof())))
            self.areas[part].update({"link_enabled": 1})
            self.translate(part)

    def translate(
        self, part: int, address: int = TARGET, size: int = SIZE, state: int = MW_SET
    ) -> None:
        """What the guest of `part` has commanded for the other's window 0."""
        self.areas[part].mw[0].update({"addr": address, "size": size, "state": state})

    def link(self) -> Link:
        data = bytearray(self.plain.build())
        for part, area in enumerate(self.areas):
            start = page.PORT_OFF + part * page.PORT_STRIDE + page.DEVICE_OFF
            packed = layout("little").area.build(area)
            data[start : page.PORT_OFF + (part + 1) * page.PORT_STRIDE] = packed.ljust(0xA00, b"\0")
        return decode_page(bytes(data), "page")


def test_an_open_window() -> None:
    link = EpfSwitch().link()
    assert link.problems == ()
    assert [port.problems for port in link.ports] == [(), ()]
    assert [(window.partition, window.bar) for window in link.windows] == [
        (0, 4),
        (0, 5),
        (1, 4),
        (1, 5),
    ]
    window = link.window(0, 0)
    assert (window.base, window.aperture, window.size) == (0xFD000000, SIZE, SIZE)
    assert window.pieces == (Piece(0, SIZE, TARGET),)
    assert window.is_open
    assert window.device_agrees
    assert link.sees_up(0, 1)


def port(part: int, **words: int) -> Callable[[EpfSwitch], object]:
    return lambda switch: switch.plain.port(part).update(words)


def area(part: int, **words: int) -> Callable[[EpfSwitch], object]:
    return lambda switch: switch.areas[part].update(words)


def refused(switch: EpfSwitch) -> None:
    switch.translate(1, size=SIZE + 4096, state=MW_REFUSED)
    switch.areas[1].mw[0].update({"reason": BAD_SIZE})


CLOSED: dict[Why, tuple[Callable[[EpfSwitch], object], str]] = {
    Why.PEER_UNSET: (lambda s: s.translate(1, 0, 0, 0), r"no translation \(CONFIGURE_MW\)"),
    Why.PEER_REFUSED: (refused, r"\(0x1000000 \+ 0x201000\) was refused: its size is none, or"),
    Why.OWNER_CPEN: (area(0, link_enabled=0), "its own guest has not commanded LINK_UP"),
    Why.PEER_CPEN: (area(1, link_enabled=0), "peer has not commanded LINK_UP"),
    Why.OWNER_BME: (port(0, pcicmd=2), "own guest has not enabled bus mastering"),
    Why.PEER_BME: (port(1, pcicmd=2), "peer has not enabled bus mastering"),
    Why.PEER_ABSENT: (port(1, state=0), "not attached"),
    Why.PEER_RAM_PRIVATE: (port(1, flags=0), "not in a shared file"),
    Why.NO_RAM: (lambda s: s.translate(1, 1 << 40), "reaches no RAM of port 1"),
}


@pytest.mark.parametrize("why", CLOSED, ids=lambda why: why.name)
def test_each_reason_alone_closes(why: Why) -> None:
    spoil, says = CLOSED[why]
    switch = EpfSwitch()
    spoil(switch)
    window = switch.link().window(0, 0)
    assert [reason.why for reason in window.closed] == [why]
    assert re.search(says, window.why_closed), window.why_closed


@pytest.mark.parametrize("size", [0, SIZE + 1, 1 << 63, 2**64 - 1])
@pytest.mark.parametrize("address", [0, 2**64 - 4096, 2**64 - 1])
def test_no_translation_is_believed(address: int, size: int) -> None:
    """The page is written by a process that runs an untrusted guest."""
    switch = EpfSwitch()
    switch.translate(1, address, size)
    window = switch.link().window(0, 0)
    assert window.size <= window.aperture
    assert sum(piece.size for piece in window.pieces) <= window.aperture


def test_a_header_that_lies_about_sizes() -> None:
    switch = EpfSwitch()
    switch.plain.header.barsetup[4] = 0xFFFFFFFF
    assert switch.link().window(0, 0).size <= 1 << 31
