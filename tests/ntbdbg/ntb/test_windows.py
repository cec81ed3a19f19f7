# SPDX-License-Identifier: MIT
"""Where windows lead, and every reason for which one is closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, NtbError
from ntbdbg.memory.base import Segment
from ntbdbg.ntb import page
from ntbdbg.ntb.barsetup import BarSetup, window_bars
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.model import MemoryWindow, Piece, Why, WindowType
from ntbdbg.ntb.reach import Reached, bar_window, reach
from tests.support.fakeswitch import BAR2_ADDRESS, BAR4_LUT12_32M, BARSETUP, FakeSwitch

GIB = 1 << 30
HOLE = [Segment(0, 2 * GIB, 0), Segment(4 * GIB, GIB, 2 * GIB)]


def open_switch(address: int = 0x1000000, size: int = 0x10000) -> FakeSwitch:
    switch = FakeSwitch()
    switch.link_up()
    switch.translate(0, address=address, size=size)
    return switch


def mw0(switch: FakeSwitch, alive: dict[int, bool] | None = None) -> MemoryWindow:
    return decode_page(switch.build(), "page", alive=alive).window(0, 0)


def test_open_window() -> None:
    window = mw0(open_switch())
    assert window.is_open
    assert window.kind is WindowType.DIRECT
    assert (window.bar, window.base, window.aperture) == (2, BAR2_ADDRESS, 2 << 20)
    assert window.size == 0x10000
    assert window.pieces == (Piece(0, 0x10000, 0x1000000),)
    assert window.device_agrees
    assert window.why_closed == ""


def image(switch: FakeSwitch, part: int, offset: int, value: int) -> None:
    switch.port(part).image[(offset - 0x400) // 4] = value


OUT = {"linkup": 0, "flags": 0b1001}
"""What a port shows whose cable is out."""

CLOSED: dict[Why, tuple[Callable[[FakeSwitch], object], str]] = {
    Why.BAR_UNMAPPED: (
        lambda s: s.port(0).bar_addr.__setitem__(2, 2**64 - 1),
        "has not mapped BAR2",
    ),
    Why.LIMIT_ZERO: (lambda s: s.translate(0, address=0, size=0), "limit 0 (BARLIMIT2"),
    Why.LIMIT_LOW: (
        lambda s: image(s, 0, 0x494, BAR2_ADDRESS - 0x400),
        "limit 0xfdfffc00 is not above BAR2 at 0xfe000000",
    ),
    Why.OWN_PARTITION: (lambda s: image(s, 0, 0x490, 0x8000015C), "target partition 0 is its own"),
    Why.NO_PARTITION: (
        lambda s: image(s, 0, 0x490, 0x8000015C | 7 << 13),
        "target partition 7 is not configured",
    ),
    Why.OWNER_ABSENT: (lambda s: s.port(0).update({"state": 1}), "port 0 is not attached"),
    Why.OWNER_UNPLUGGED: (lambda s: s.port(0).update(OUT), "own port's cable is out"),
    Why.OWNER_LINKUP: (lambda s: s.port(0).update({"linkup": 0}), r"own port .*\(LINKUP=0\)"),
    Why.OWNER_BME: (lambda s: s.port(0).update({"pcicmd": 2}), "own guest .*PCICMD.BME=0"),
    Why.OWNER_CPEN: (lambda s: s.port(0).update({"ntctl": 0}), "own guest .*NTCTL.CPEN=0"),
    Why.OWNER_MTBL: (lambda s: s.port(0).update({"mtbl": 0}), "own mapping-table entry"),
    Why.PEER_ABSENT: (lambda s: s.port(1).update({"state": 0}), r"peer \(port 2\) is not attached"),
    Why.PEER_UNPLUGGED: (lambda s: s.port(1).update(OUT), "peer's cable is out"),
    Why.PEER_LINKUP: (lambda s: s.port(1).update({"linkup": 0}), "SWPORTSTS.LINKUP=0"),
    Why.PEER_BME: (lambda s: s.port(1).update({"pcicmd": 0}), "peer .*PCICMD.BME=0"),
    Why.PEER_CPEN: (
        lambda s: s.port(1).update({"ntctl": 0}),
        r"peer has not enabled the link \(NTCTL.CPEN=0\)",
    ),
    Why.PEER_MTBL: (lambda s: s.port(1).update({"mtbl": 0}), "peer's mapping-table entry"),
    Why.PEER_IOMMU: (lambda s: s.port(1).update({"flags": 3}), "peer has an IOMMU"),
    Why.PEER_RAM_PRIVATE: (lambda s: s.port(1).update({"flags": 0}), "not in a shared file"),
    Why.PEER_RAM_TABLE: (lambda s: s.port(1).update({"ram_seq": 5}), "being rewritten"),
    Why.NO_RAM: (
        lambda s: s.translate(0, address=0x40000000, size=0x1000),
        "0x40000000 \\+ 0x1000 reaches no RAM of port 2",
    ),
}


@pytest.mark.parametrize("why", CLOSED, ids=lambda why: why.name)
def test_each_reason_alone_closes(why: Why) -> None:
    import re

    spoil, says = CLOSED[why]
    switch = open_switch()
    spoil(switch)
    window = mw0(switch)
    assert [reason.why for reason in window.closed] == [why]
    assert re.search(says.replace("(BARL", r"\(BARL"), window.why_closed)
    assert not window.is_open


def test_the_table_of_reasons_is_complete() -> None:
    by_death = {Why.OWNER_DEAD, Why.PEER_DEAD}
    of_others = {Why.PEER_UNSET, Why.PEER_REFUSED}
    assert set(CLOSED) | by_death | of_others | {Why.LUT_INVALID, Why.RESERVED} == set(Why)


def test_a_dead_qemu_closes() -> None:
    switch = open_switch()
    assert mw0(switch, {0: True, 1: True}).is_open
    dead = mw0(switch, {0: True, 1: False})
    assert [reason.why for reason in dead.closed] == [Why.PEER_DEAD]
    assert "pid" in dead.why_closed
    dead = mw0(switch, {0: False, 1: True})
    assert [reason.why for reason in dead.closed] == [Why.OWNER_DEAD]
    assert dead.device_open is None
    assert dead.device_agrees


def test_all_reasons_are_given() -> None:
    switch = FakeSwitch()
    switch.translate(0, address=0, size=0)
    whys = {reason.why for reason in mw0(switch).closed}
    assert {Why.LIMIT_ZERO, Why.OWNER_CPEN, Why.OWNER_BME} <= whys
    assert not {Why.PEER_CPEN, Why.OWN_PARTITION} & whys  # it names no peer yet
    switch.translate(0, address=0, size=0x1000, target=1)
    assert {Why.OWNER_CPEN, Why.PEER_CPEN} <= {reason.why for reason in mw0(switch).closed}


def test_idprotdis_stands_in_for_the_mapping_table() -> None:
    switch = open_switch()
    switch.port(0).update({"ntctl": 3, "mtbl": 0})
    assert mw0(switch).is_open


def test_device_that_disagrees() -> None:
    switch = open_switch()
    switch.port(0).mw_open = 0
    window = mw0(switch)
    assert window.is_open
    assert not window.device_agrees


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        (0x1000, 0x1000),
        (0xFFF, 0x1000),  # inclusive, as older drivers write it
        (0x1400, 0x1400),
        (0x2FFF, 0x3000),
        (2 << 20, 2 << 20),
        (16 << 20, 2 << 20),  # beyond the aperture
    ],
)
def test_limit(limit: int, size: int) -> None:
    switch = open_switch()
    image(switch, 0, 0x494, BAR2_ADDRESS + limit)
    assert mw0(switch).size == size


def test_a_tail_of_less_than_a_page_traps() -> None:
    switch = open_switch()
    image(switch, 0, 0x494, BAR2_ADDRESS + 0x1400)
    switch.update_open()
    window = mw0(switch)
    assert window.pieces == (
        Piece(0, 0x1000, 0x1000000),
        Piece(0x1000, 0x400, 0x1001000, trapped=True),
    )
    assert (window.is_trapped, window.device_trapped, window.device_agrees) == (True, True, True)


def test_a_translation_within_a_page_traps() -> None:
    window = mw0(open_switch(address=0x1004))
    assert window.is_open
    assert window.pieces == (Piece(0, 0x10000, 0x1004, trapped=True),)
    link = decode_page(open_switch(address=0x1004).build(), "page")
    assert reach(link, 0, 0, 0xFFFC, 4) == (Reached(1, 0x11000, 4),)


def test_ram_that_is_not_page_aligned_in_its_file_traps() -> None:
    switch = open_switch()
    switch.publish_ram(1, [Segment(0x100000, 0x10000000, 0x800)])
    assert [piece.trapped for piece in mw0(switch).pieces] == [True]


def test_device_that_traps_where_it_need_not() -> None:
    switch = open_switch()
    switch.port(0).mw_trapped = 1
    window = mw0(switch)
    assert (window.is_open, window.device_open) == (True, True)
    assert not window.device_agrees


def test_below_the_published_ram() -> None:
    switch = open_switch(address=0xFF000)
    switch.publish_ram(1, [Segment(0x100000, 0x10000000, 0x100000)])
    gap, ram = mw0(switch).pieces
    assert gap.gap == "is below the RAM that the peer publishes, from 0x100000 on"
    assert (ram.offset, ram.gpa) == (0x1000, 0x100000)


def test_limit_of_a_64_bit_bar_above_4_gib() -> None:
    switch = FakeSwitch()
    switch.link_up()
    switch.port(0).bar_addr[2] = 0x38_0000_0000
    switch.translate(0, address=0x200000, size=0x4000)
    window = mw0(switch)
    assert window.translation is not None
    assert window.translation.limit == 0x38_0000_4000
    assert (window.size, window.is_open) == (0x4000, True)


def test_window_across_the_pci_hole() -> None:
    switch = FakeSwitch()
    switch.publish_ram(1, HOLE)
    switch.link_up()
    switch.translate(0, address=2 * GIB - 0x4000, size=0x8000)
    window = mw0(switch)
    assert window.is_open
    assert [(p.offset, p.size, p.gap is None) for p in window.pieces] == [
        (0, 0x4000, True),
        (0x4000, 0x4000, False),
    ]
    assert "PCI hole" in (window.pieces[1].gap or "")


def test_window_on_both_sides_of_a_small_hole() -> None:
    switch = FakeSwitch()
    switch.publish_ram(1, [Segment(0, 0xA0000, 0), Segment(0xC0000, 0x1000000, 0xC0000)])
    switch.link_up()
    switch.translate(0, address=0x90000, size=0x40000)
    pieces = mw0(switch).pieces
    assert [(p.offset, p.size, p.gpa) for p in pieces] == [
        (0, 0x10000, 0x90000),
        (0x10000, 0x20000, 0xA0000),
        (0x30000, 0x10000, 0xC0000),
    ]
    assert "hole [0xa0000, 0xc0000)" in (pieces[1].gap or "")
    assert [p.gpa for p in mw0(switch).reached] == [0x90000, 0xC0000]


def test_window_over_the_end_of_ram() -> None:
    switch = FakeSwitch()
    switch.link_up()
    switch.translate(0, address=(256 << 20) - 0x1000, size=0x3000)
    first, gap = mw0(switch).pieces
    assert (first.size, gap.size) == (0x1000, 0x2000)
    assert "end of RAM" in (gap.gap or "")


def test_translation_at_the_end_of_the_address_space() -> None:
    switch = open_switch()
    image(switch, 0, 0x498, 0xFFFFF000)
    image(switch, 0, 0x49C, 0xFFFFFFFF)
    window = mw0(switch)
    assert [reason.why for reason in window.closed] == [Why.NO_RAM]
    assert "end of RAM" in (window.pieces[-1].gap or "")


LUT_SWITCH = (*BARSETUP[:4], BAR4_LUT12_32M, 0)


def lut_switch(nports: int = 2) -> FakeSwitch:
    switch = FakeSwitch(nports, barsetup=LUT_SWITCH)
    switch.link_up()
    return switch


def test_lut_windows() -> None:
    switch = lut_switch()
    switch.translate_entry(0, 1, address=0x2000000)
    link = decode_page(switch.build(), "page")
    mine = link.windows_of(0)
    assert [w.index for w in mine] == list(range(13))
    assert {w.kind for w in mine[1:]} == {WindowType.LUT12}
    assert mine[2].base == BAR2_ADDRESS + 4 * 0x100000 + (2 << 20)
    assert mine[2].is_open
    assert mine[2].pieces == (Piece(0, 2 << 20, 0x2000000),)
    assert mine[2].translation is not None
    assert mine[2].translation.limit is None
    assert [reason.why for reason in mine[1].closed] == [Why.LUT_INVALID]
    assert (mine[1].size, mine[1].pieces) == (0, ())
    assert all(w.device_agrees for w in link.windows)
    assert reach(link, 0, 2, 0x40, 4) == (Reached(1, 0x2000040, 4),)


def test_bars_with_several_windows() -> None:
    switch = lut_switch()
    switch.translate_entry(0, 11, address=0x2000000)
    link = decode_page(switch.build(), "page")
    window, offset = bar_window(link, 0, 4, 11 * (2 << 20) + 5)
    assert (window.index, offset) == (12, 5)
    assert bar_window(link, 0, 2, 1 << 40) == (link.window(0, 0), 1 << 40)
    with pytest.raises(NtbError, match="bar4 has no window at 0x1800000"):
        bar_window(link, 0, 4, 12 * (2 << 20))
    with pytest.raises(NtbError, match="bar3 holds no memory window"):
        bar_window(link, 0, 3, 0)


def test_the_gates_close_lut_windows_as_well() -> None:
    switch = lut_switch()
    switch.translate_entry(0, 0, address=0x2000000)
    for target, why in ((0, Why.OWN_PARTITION), (9, Why.NO_PARTITION)):
        switch.port(0).lut[1][0].upper = 1 << 31 | target
        window = decode_page(switch.build(), "page").window(0, 1)
        assert [reason.why for reason in window.closed] == [why]
        assert "LUTUDATA.PART" in window.why_closed
    switch.translate_entry(0, 0, address=0x2000000)
    switch.link_down(1)
    window = decode_page(switch.build(), "page").window(0, 1)
    assert {reason.why for reason in window.closed} == {Why.PEER_CPEN, Why.PEER_MTBL}


def test_six_ports_reach_each_other() -> None:
    switch = lut_switch(6)
    for part in range(6):
        for target in range(6):
            if target != part:
                switch.translate_entry(part, target, address=0x1000000 * (1 + part), target=target)
    link = decode_page(switch.build(), "page")
    for part in range(6):
        for target in range(6):
            window = link.window(part, 1 + target)
            assert window.is_open == (target != part)
            if target != part:
                address = 0x1000000 * (1 + part)
                assert reach(link, part, 1 + target, 0, 1) == (Reached(target, address, 1),)


def test_a_reserved_kind_of_translation() -> None:
    setup = (*BARSETUP[:4], 0x8000195C, 0)
    window = decode_page(FakeSwitch(barsetup=setup).build(), "page").window(0, 1)
    assert [reason.why for reason in window.closed] == [Why.RESERVED]


def mirroring_switch() -> FakeSwitch:
    switch = lut_switch()
    switch.header.cfg_flags = page.CFG_MIRROR_MW
    return switch


def test_a_window_that_mirrors_the_only_other_one() -> None:
    switch = mirroring_switch()
    switch.translate_entry(0, 0, address=0x2000000)
    switch.port(0).mw_open |= 1
    link = decode_page(switch.build(), "page")
    window = link.window(0, 0)
    assert (window.is_open, window.device_agrees, window.mirrors) == (True, True, (1,))
    assert reach(link, 0, 0, 8, 4) == (Reached(1, 0x2000008, 4),)


def test_a_window_that_mirrors_one_of_several() -> None:
    switch = mirroring_switch()
    switch.translate_entry(0, 0, address=0x2000000)
    switch.translate_entry(0, 5, address=0x3000000)
    switch.port(0).mw_open |= 1
    link = decode_page(switch.build(), "page")
    window = link.window(0, 0)
    assert (window.is_open, window.device_agrees, window.mirrors) == (True, True, (1, 6))
    with pytest.raises(NtbError, match="lends it that of one of mw1, mw6"):
        reach(link, 0, 0, 0, 1)


def test_mirroring_opens_nothing_that_the_device_keeps_closed() -> None:
    switch = mirroring_switch()
    switch.translate_entry(0, 0, address=0x2000000)
    assert [reason.why for reason in mw0(switch).closed] == [Why.LIMIT_ZERO]


def test_no_more_windows_than_the_driver_takes() -> None:
    lut24 = 0x8000099C & ~0x1800 | 2 << 11
    link = decode_page(FakeSwitch(barsetup=(0x800004C0, 0, lut24, 0, lut24, 0)).build(), "page")
    assert len(link.windows_of(1)) == 29


def test_barsetup_fields() -> None:
    setup = BarSetup(2, 0x8000A15C)
    assert (setup.enabled, setup.is_64bit, setup.kind) == (True, True, WindowType.DIRECT)
    assert (setup.bar_size, setup.target_partition) == (2 << 20, 5)
    assert BarSetup(0, 0x800004C0).is_config
    assert [s.bar for s in window_bars([0x800004C0, 0x80000150, 0x8000015C, 0x8000015C])] == [1, 2]
    assert BarSetup(1, 0x80001800).kind is WindowType.RESERVED


def test_a_64_bit_bar_5_has_no_high_half() -> None:
    switch = FakeSwitch(barsetup=(0x800004C0, 0, 0, 0, 0, 0x8000015C))
    switch.link_up()
    switch.translate(0, address=0x1000, size=0x1000, bar=5)
    assert mw0(switch).size == 0x1000


def test_reach() -> None:
    link = decode_page(open_switch().build(), "page")
    assert reach(link, 0, 0, 0x40, 64) == (Reached(1, 0x1000040, 64),)
    with pytest.raises(FaultError, match="outside the window") as caught:
        reach(link, 0, 0, 0xFFF0, 0x20, name="qemu1:mw0")
    assert caught.value.address == 0x10000
    assert caught.value.source == "qemu1:mw0"
    with pytest.raises(FaultError, match="outside the window"):
        reach(link, 0, 0, -1, 1)
    with pytest.raises(FaultError, match="outside the window"):
        reach(link, 0, 0, 0x10000, 0)
    with pytest.raises(NtbError, match="qemu2:mw0 is closed: limit 0"):
        reach(link, 1, 0, 0, 1, name="qemu2:mw0")


def test_reach_into_a_hole_is_a_fault() -> None:
    switch = FakeSwitch()
    switch.publish_ram(1, HOLE)
    switch.link_up()
    switch.translate(0, address=2 * GIB - 0x1000, size=0x2000)
    link = decode_page(switch.build(), "page")
    assert reach(link, 0, 0, 0, 0x1000) == (Reached(1, 2 * GIB - 0x1000, 0x1000),)
    with pytest.raises(FaultError, match="leads to 0x80000000 of the peer, which is in the PCI"):
        reach(link, 0, 0, 0xFFF, 2)


def test_reach_over_adjoining_segments() -> None:
    switch = FakeSwitch()
    switch.publish_ram(1, [Segment(0, 0x10000, 0), Segment(0x10000, 0x10000, 0x20000)])
    switch.link_up()
    switch.translate(0, address=0xF000, size=0x2000)
    link = decode_page(switch.build(), "page")
    assert reach(link, 0, 0, 0, 0x2000) == (Reached(1, 0xF000, 0x1000), Reached(1, 0x10000, 0x1000))


@settings(max_examples=200, deadline=None)
@given(
    address=st.integers(0, 6 * GIB).map(lambda a: a & ~0xFFF),
    size=st.integers(1, 512).map(lambda n: n * 4096),
)
def test_pieces_cover_the_window_exactly(address: int, size: int) -> None:
    switch = FakeSwitch()
    switch.publish_ram(1, HOLE)
    switch.link_up()
    switch.translate(0, address=address, size=size)
    window = mw0(switch)
    at = 0
    for piece in window.pieces:
        assert (piece.offset, piece.gpa) == (at, address + at)
        at += piece.size
        inside = any(s.start <= piece.gpa < piece.gpa + piece.size <= s.end for s in HOLE)
        assert (piece.gap is None) == inside
    assert at == window.size == min(size, 2 << 20)
