# SPDX-License-Identifier: MIT
"""Bytes of the shared page to objects; what is corrupt is said, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import NtbError
from ntbdbg.memory.base import Segment
from ntbdbg.ntb import page
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.model import Link, PortFlags, PortState
from tests.support.fakeswitch import FakeSwitch


def decoded(switch: FakeSwitch, **kwargs) -> Link:
    return decode_page(switch.build(), "page", **kwargs)


@pytest.mark.parametrize("endian", ["little", "big"])
def test_header_and_ports(endian) -> None:
    switch = FakeSwitch(3, endian=endian)
    link = decoded(switch)
    assert (link.header.nports, link.header.model, link.header.endian) == (3, 0x8091, endian)
    assert [port.number for port in link.ports] == [0, 2, 4]
    assert all(port.state is PortState.ATTACHED for port in link.ports)
    assert link.ports[1].flags == PortFlags.RAM_SHARED
    assert link.problems == ()
    assert [port.problems for port in link.ports] == [(), (), ()]


def test_doorbells_and_messages() -> None:
    switch = FakeSwitch()
    switch.ring(1, 0b1011)
    switch.port(1).indbellmsk = 0b0010
    switch.send(1, 2, 0xDEADBEEF, source=0)
    switch.port(1).msgstsmsk = 1 << 18
    switch.port(0).outmsgsts = 0b1000
    switch.port(0).swpmsgctl[1] = 0x12
    link = decoded(switch)
    doorbell = link.ports[1].doorbell
    assert (doorbell.status, doorbell.mask, doorbell.pending) == (0b1011, 0b0010, 0b1001)
    message = link.ports[1].messages[2]
    assert (message.data, message.source, message.full, message.masked) == (
        0xDEADBEEF,
        0,
        True,
        True,
    )
    assert link.ports[0].messages[2].sent == 0xDEADBEEF
    assert [m.failed for m in link.ports[0].messages] == [False, False, False, True]
    route = link.ports[0].messages[1]
    assert (route.route_partition, route.route_register) == (1, 2)


def test_link_is_up_only_when_both_ends_agree() -> None:
    switch = FakeSwitch()
    assert not decoded(switch).sees_up(0, 1)
    switch.link_up()
    assert decoded(switch).sees_up(0, 1)
    assert decoded(switch).sees_up(1, 0)
    switch.port(1).linkup = 0
    assert not decoded(switch).sees_up(0, 1)
    assert decoded(switch).sees_up(1, 0)
    switch.port(0).pcicmd = 0
    assert not decoded(switch).sees_up(1, 0)


def test_a_dead_owner_takes_the_link_down() -> None:
    switch = FakeSwitch()
    switch.link_up()
    link = decoded(switch, alive={0: True, 1: False})
    assert not link.sees_up(0, 1)
    assert not link.ports[1].is_attached


def test_free_port_is_numbered_by_the_header() -> None:
    switch = FakeSwitch(3)
    switch.detach(2)
    port = decoded(switch, alive={0: True, 1: True, 2: False}).ports[2]
    assert (port.state, port.number, port.alive) == (PortState.FREE, 4, None)
    assert port.problems == ()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("magic", 1, "is not a shared page"),
        ("endian", 7, "is not a shared page"),
        ("major", 3, "layout version 3.1, this ntbdbg reads 1.x and 2.x"),
        ("hdr_size", 8, "hdr_size"),
        ("nports", 0, "nports is 0"),
        ("nports", 7, "nports is 7"),
        ("nports", 0xFFFFFFFF, "nports is 4294967295"),
        ("port_off", 0x2004, "port_off"),
        ("port_off", 0xFFFFFFF8, "beyond"),
        ("port_stride", 0x500, "port_stride"),
        ("port_stride", 0xFFFFFFF8, "beyond"),
        ("port_stride", 0x1001, "port_stride"),
    ],
)
def test_corrupt_header(field, value, says) -> None:
    switch = FakeSwitch()
    switch.header[field] = value
    with pytest.raises(NtbError, match=says) as caught:
        decoded(switch)
    assert str(caught.value).startswith("page: ")
    assert caught.value.hint


def test_too_short_and_empty() -> None:
    data = FakeSwitch().build()
    with pytest.raises(NtbError, match="too few"):
        decode_page(data[:0x5F], "page")
    with pytest.raises(NtbError, match="before its 2 port blocks"):
        decode_page(data[:0x3000], "page")
    with pytest.raises(NtbError, match="no device has set it up"):
        decode_page(bytes(0x10000), "page")


def test_a_later_minor_version_is_read() -> None:
    switch = FakeSwitch()
    switch.header.update({"minor": 9, "hdr_size": 0x70, "port_stride": 0x2000})
    assert decoded(switch).header.minor == 9


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"state": 9}, "state is 9"),
        ({"part": 3}, "calls itself partition 3"),
        ({"port": 6}, "calls itself port 6, the header says 2"),
        ({"nseg": 17}, "claims 17 segments"),
        ({"nseg": 0}, "RAM table is empty"),
        ({"ram_seq": 3}, "being rewritten"),
        ({"ram_size": 0x1000}, "not inside the RAM file"),
    ],
)
def test_corrupt_block_spoils_only_that_port(spoil, says) -> None:
    switch = FakeSwitch()
    switch.port(1).update(spoil)
    link = decoded(switch)
    assert link.ports[0].problems == ()
    assert says in "; ".join(link.ports[1].problems)


def test_overlapping_and_wrapping_segments() -> None:
    switch = FakeSwitch()
    switch.publish_ram(1, [Segment(0, 0x2000, 0), Segment(0x1000, 0x1000, 0x2000)])
    port = decoded(switch).ports[1]
    assert port.segments == ()
    assert "overlap" in port.problems[0]
    switch.publish_ram(1, [Segment(0xFFFF_FFFF_FFFF_F000, 0x2000, 0)])
    assert "beyond 2^64" in decoded(switch).ports[1].problems[0]
    switch.publish_ram(1, [Segment(0, 0, 0)])
    assert "corrupt" in decoded(switch).ports[1].problems[0]


def test_foreign_barsetup_is_named() -> None:
    switch = FakeSwitch()
    switch.port(0).image[(0x490 - 0x400) // 4] ^= 0x10
    assert "BARSETUP2" in decoded(switch).ports[0].problems[0]
    switch = FakeSwitch()
    switch.port(0).image[(0x490 - 0x400) // 4] |= 5 << 13
    assert decoded(switch).ports[0].problems == ()


def test_unknown_model_is_named() -> None:
    switch = FakeSwitch()
    switch.header.model = 0x808F
    assert decoded(switch).problems == ("model is 0x808f, not 0x8091",)


def test_no_such_port_or_window() -> None:
    link = decoded(FakeSwitch())
    with pytest.raises(NtbError, match="0 to 1"):
        link.port(2)
    with pytest.raises(NtbError, match="only mw0"):
        link.window(0, 1)
    link = decoded(FakeSwitch(barsetup=(0x800004C0, 0, 0, 0, 0, 0)))
    with pytest.raises(NtbError, match="has none"):
        link.window(0, 0)


@settings(max_examples=60, deadline=2000)
@given(st.integers(0, 2**32), st.integers(2, 6), st.booleans())
def test_garbage_never_does_worse_than_an_ntb_error(seed, nports, keep_header) -> None:
    import random

    garbage = bytearray(random.Random(seed).randbytes(0x8000))
    if keep_header:
        header = FakeSwitch(nports)
        garbage[:0x60] = header.build()[:0x60]
        for part in range(nports):
            garbage[0x2000 + part * 0x1000] = part % 3
            garbage[0x2001 + part * 0x1000 : 0x2004 + part * 0x1000] = bytes(3)
    try:
        link = decode_page(bytes(garbage), "page")
    except NtbError:
        assert not keep_header
        return
    assert len(link.windows) <= nports * 29


@settings(max_examples=60, deadline=2000)
@given(st.lists(st.tuples(st.integers(0, 0x4FFF), st.integers(0, 255)), max_size=60))
def test_spoiled_bytes_never_do_worse_than_an_ntb_error(spots) -> None:
    switch = FakeSwitch(3)
    switch.link_up()
    data = bytearray(switch.build())
    for at, value in spots:
        data[at] = value
    try:
        link = decode_page(bytes(data), "page")
    except NtbError:
        return
    for window in link.windows:
        assert sum(piece.size for piece in window.pieces) in (0, window.size)


def test_layout_is_declared_for_both_byte_orders_once() -> None:
    little, big = page.layout("little"), page.layout("big")
    assert little.port.sizeof() == big.port.sizeof() == 0xA40


def test_port_blocks_inside_the_header() -> None:
    data = bytearray(FakeSwitch().build())
    data[0x18:0x1C] = (0x10).to_bytes(4, "little")
    with pytest.raises(NtbError, match="inside the header"):
        decode_page(bytes(data), "page")
