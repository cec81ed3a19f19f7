# SPDX-License-Identifier: MIT
"""Golden pictures of windows, registers, changes, structures: 80 columns, no colour."""

from __future__ import annotations

from ntbdbg.inspect.changes import ByteChange, FieldChange, LinkProbe, MemoryProbe
from ntbdbg.inspect.diff import PageDiff
from ntbdbg.inspect.structs import Member
from ntbdbg.inspect.watch import Sample, WatchStats
from ntbdbg.memory import BufferMemory, Segment
from ntbdbg.ntb import page
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.model import Link
from ntbdbg.ntb.registers import find
from ntbdbg.ntb.regview import register_values
from ntbdbg.ntb.source import PageFile
from ntbdbg.render.decode import StructView, value_text
from ntbdbg.render.diff import DiffLayout, heading, page_lines
from ntbdbg.render.registers import PortView, RegisterTable
from ntbdbg.render.watch import change_line, stats_line
from ntbdbg.render.watch import value_text as field_text
from ntbdbg.render.watchview import ChangeTable, WatchView
from ntbdbg.render.windows import WindowMap
from tests.support.fakeswitch import BAR4_LUT12_32M, BARSETUP, FakeSwitch
from tests.support.picture import shown

NAMES = {0: "qemu1", 1: "qemu2"}


def link(change=lambda switch: None) -> Link:
    switch = FakeSwitch()
    switch.publish_ram(1, [Segment(0, 2 << 30, 0), Segment(4 << 30, 1 << 30, 2 << 30)])
    switch.link_up()
    switch.translate(0, address=0x1000000, size=0x10000)
    change(switch)
    return decode_page(switch.build(), "page")


def test_windows() -> None:
    assert (
        shown(WindowMap(link(), link().windows, NAMES))
        == """\
WINDOW     BAR             AT          SIZE    REACHES                    STATE
qemu1:mw0  2 direct 2 MiB  0xfe000000  64 KiB  qemu2:0x1000000-0x100ffff  open
qemu2:mw0  2 direct 2 MiB  0xfe000000  -       -                          closed
qemu2:mw0 is closed: limit 0 (BARLIMIT2: no translation is set)
"""[:-1]
    )


def test_window_across_the_hole() -> None:
    crossing = link(lambda s: s.translate(0, address=(2 << 30) - 0x4000, size=0x8000))
    assert (
        shown(WindowMap(crossing, crossing.windows_of(0), NAMES), 90)
        == """\
WINDOW     BAR             AT          SIZE    REACHES                      STATE
qemu1:mw0  2 direct 2 MiB  0xfe000000  32 KiB  qemu2:0x7fffc000-0x7fffffff  open
                                               nothing
qemu1:mw0 +0x4000, 16 KiB: 0x80000000 is in the PCI hole [0x80000000, 0x100000000)"""
    )


def lut_link(change=lambda switch: None) -> Link:
    switch = FakeSwitch(barsetup=(*BARSETUP[:4], BAR4_LUT12_32M, 0))
    switch.link_up()
    switch.translate_entry(0, 1, address=0x2000000)
    change(switch)
    return decode_page(switch.build(), "page")


def test_lut_windows_and_none() -> None:
    lut = lut_link()
    assert (
        shown(WindowMap(lut, lut.windows_of(0), NAMES), 90)
        == """\
WINDOW          BAR                 AT          SIZE   REACHES                    STATE
qemu1:mw0       2 direct 2 MiB      0xfe000000  -      -                          closed
qemu1:mw1       4 LUT12 2 MiB       0xfe400000  -      -                          closed
qemu1:mw2       4 LUT12 2 MiB       0xfe600000  2 MiB  qemu2:0x2000000-0x21fffff  open
qemu1:mw3-mw12  4 LUT12 10 × 2 MiB  0xfe800000  -      -                          closed
qemu1:mw0 is closed: limit 0 (BARLIMIT2: no translation is set)
qemu1:mw1, qemu1:mw3-mw12 are closed: its lookup-table entry is not valid
(LUTUDATA.VALID=0)"""
    )
    unfolded = shown(WindowMap(lut, lut.windows, NAMES, fold=False), 400)
    assert "qemu2:mw7 " in unfolded
    assert "mw12, qemu2:mw1-mw12 are closed: its lookup-table entry is not valid" in unfolded
    assert shown(WindowMap(lut, (), NAMES)) == "no memory windows"


def test_windows_that_trap_and_that_mirror() -> None:
    def change(switch: FakeSwitch) -> None:
        switch.header.cfg_flags = page.CFG_MIRROR_MW
        switch.translate_entry(0, 1, address=0x2000004)
        switch.port(0).mw_open |= 1
        switch.port(0).mw_trapped |= 1

    lut = lut_link(change)
    lines = shown(WindowMap(lut, lut.windows_of(0), NAMES), 120)
    assert "qemu1:mw2 +0x0, 2 MiB: no whole page, each access traps" in lines
    assert "qemu1:mw0 has no translation, it mirrors mw2 (x-mirror-mw)" in lines
    assert "device itself" not in lines
    liar = lut_link(lambda switch: switch.port(0).update({"mw_trapped": 1 << 2}))
    said = "qemu1:mw2: the device itself says that some of it traps"
    assert said in shown(WindowMap(liar, liar.windows_of(0), NAMES))
    other = lut_link(lambda switch: switch.port(0).update({"mw_open": 1 << 4}))
    seen = shown(WindowMap(other, other.windows_of(0), NAMES))
    assert "qemu1:mw4: the device itself says open" in seen
    assert "qemu1:mw3-mw12 are closed" in seen


def test_registers() -> None:
    port = link().ports[0]
    wanted = [find(name) for name in ("NTCTL", "INDBELLSTS", "NTMTBLDATA", "SEGSIGMSK")]
    assert (
        shown(RegisterTable(register_values(port, wanted)), 120)
        == """\
OFFSET   REGISTER    VALUE       FROM    FIELDS
0x400    NTCTL       0x00000002  levels  CPEN
0x428    INDBELLSTS  0x00000000  inbox   doorbells that are set
0x4d8    NTMTBLDATA  0x00000001  levels  VALID REQID=0x0 PART=0x0
0x3ec34  SEGSIGMSK   0x00000000  mirror  -"""
    )


def test_what_is_said_of_like_registers_is_said_once() -> None:
    port = link(lambda switch: switch.ring(1, 0b1011)).ports[1]
    names = ("OUTMSG0", "OUTMSG1", "INDBELLSTS", "INMSG0", "INMSG3")
    table = RegisterTable(register_values(port, [find(name) for name in names]))
    fields = [line[39:].strip() for line in shown(table, 140).splitlines()[1:]]
    assert fields[0].startswith("outbound message 0: a write sends")
    assert fields[1] == "outbound message 1"
    assert fields[2] == "0, 1, 3: doorbells that are set"
    assert fields[3].startswith("inbound message 0; kept when")
    assert fields[4] == "inbound message 3"


def test_port() -> None:
    def busy(switch: FakeSwitch) -> None:
        switch.ring(1, 0b101)
        switch.port(1).update({"indbellmsk": 4, "pid": 77})
        switch.send(1, 3, 0xCAFE, source=0)
        switch.port(1).swpmsgctl[0] = 0x01
        switch.port(1).outmsgsts = 1

    busy_link = link(busy)
    assert (
        shown(PortView(busy_link, busy_link.ports[1], NAMES))
        == """\
port           2, partition 1, attached, pid 77
link           LINKUP=1  BME=1  CPEN=1  mapping VALID=1
link to qemu1  up
doorbells      set 0, 2 (0x00000005); masked 2 (0x00000004); pending 0
               (0x00000001)
               1 wake-ups that brought some, 0 writes to peers

MESSAGE  RECEIVED    FROM   STATUS  SENT        TO       SEND STATUS
0        0x00000000  -      empty   0x00000000  qemu1:1  refused
1        0x00000000  -      empty   0x00000000  qemu1:0  -
2        0x00000000  -      empty   0x00000000  qemu1:0  -
3        0x0000cafe  qemu1  full    0x00000000  qemu1:0  -"""
    )


def sample(number: int, *changes, at: float = 5.0) -> Sample:
    return Sample(number, at, 0.0, changes)


def test_changes() -> None:
    first = ByteChange("qemu1", 0x1000, b"\0\1", b"\2\3")
    second = FieldChange("qemu2", "doorbell.status", 0, 16)
    lines = [change_line(sample(1, first), change, 3.5) for change in (first, second)]
    assert lines[0].endswith(" +1.500000 qemu1 0x1000 00 01 -> 02 03")
    assert lines[1].endswith(" +1.500000 qemu2 doorbell.status 0x0 -> 0x10")
    table = shown(ChangeTable([(sample(1, first), first), (sample(1, second), second)]))
    assert [line.split()[1:] for line in table.splitlines()] == [
        ["GUEST", "WHERE", "OLD", "NEW"],
        ["qemu1", "0x1000", "00", "01", "02", "03"],
        ["qemu2", "doorbell.status", "0x0", "0x10"],
    ]


def test_values_of_fields() -> None:
    assert field_text("mw0.open", True) == "true"
    assert field_text("doorbell.received", 12) == "12"
    assert field_text("message0.data", 0xAB) == "0xab"
    assert field_text("mw0.closed", "") == "(none)"
    assert field_text("port.state", None) == "(none)"
    stats = WatchStats(samples=101, changes=3, elapsed=2.0, longest_gap=0.0251)
    assert stats_line(stats) == "101 samples in 2.000 s: 50/s, longest gap 25.10 ms; 3 changes"
    assert stats_line(WatchStats(samples=1)) == "1 sample"


def test_live_view_fits_any_terminal(tmp_path) -> None:
    path = FakeSwitch().save(tmp_path / "page")
    memory = BufferMemory(bytes(range(64)) * 8)
    probes = [
        MemoryProbe("qemu1", memory, 0, 512),
        LinkProbe(PageFile(path), NAMES),
    ]
    view = WatchView("watch", probes)
    states = [probe.read() for probe in probes]
    changes = [ByteChange("qemu1", 0x100 + i, b"\0", b"A") for i in range(50)]
    view.update(sample(1, *changes), states, WatchStats(2, 50, 1.0, 0.5))
    for width, height in ((120, 50), (80, 24), (50, 14), (20, 6)):
        lines = shown(view, width, height).splitlines()
        assert len(lines) <= max(height, 8)
        assert all(len(line) <= width for line in lines)
    picture = shown(view, 80, 40)
    assert picture.startswith("watch  1.0 s  1 samples/s  longest gap 500.0 ms  50 changes")
    assert "00000100  00 01 02" in picture
    assert "doorbell.status" in picture


def test_live_view_cuts_no_value_short(tmp_path) -> None:
    path = FakeSwitch(6).save(tmp_path / "page")
    names = {number: f"guest{number}" for number in range(6)}
    probes = [
        MemoryProbe("guest0", BufferMemory(bytes(64)), 0, 64),
        LinkProbe(PageFile(path), names),
    ]
    view = WatchView("watch, Ctrl-C ends it", probes)
    old, new = bytes(range(0x50, 0x60)), bytes(range(0xA0, 0xB0))
    changes = [ByteChange("guest0", 0x10, old, new)]
    view.update(sample(1, *changes), [probe.read() for probe in probes], WatchStats(2, 1, 1.0, 0.5))
    for width in (40, 80):
        picture = shown(view, width, 200)
        assert "…" not in picture
        words = " ".join(picture.split())
        assert old.hex(" ") in words
        assert new.hex(" ") in words
        assert "link to peers" in words
        assert all(f"guest{number}" in words for number in range(6))
        assert "1 changes" in words


def test_live_view_keeps_the_latest_changes(tmp_path) -> None:
    probe = MemoryProbe("qemu1", BufferMemory(bytes(64)), 0, 64)
    view = WatchView("watch", [probe])
    changes = [ByteChange("qemu1", 2 * i, bytes(16), bytes([i] * 16)) for i in range(30)]
    view.update(sample(1, *changes), [bytes(64)], WatchStats(2, 30, 1.0, 0.5))
    lines = shown(view, 60, 24).splitlines()
    assert len(lines) <= 24
    assert lines[-1] == f"    new {bytes([29] * 16).hex(' ')}"
    assert any(line.startswith("TIME") for line in lines)


def test_live_view_shows_the_windows_in_use(tmp_path) -> None:
    switch = FakeSwitch(3, barsetup=(*BARSETUP[:4], BAR4_LUT12_32M, 0))
    switch.link_up()
    switch.translate_entry(1, 10, address=0x2000000, target=2)
    switch.translate_entry(2, 1, address=0x3000000, target=0)
    probe = LinkProbe(PageFile(switch.save(tmp_path / "page")), NAMES)
    view = WatchView("watch", [probe])
    view.update(sample(1), [probe.read()], WatchStats(2, 50, 1.0, 0.5))
    lines = shown(view, 100, 40).splitlines()
    windows = [line.split() for line in lines if line.startswith("mw")]
    assert [words[0] for words in windows] == ["mw0", "mw2", "mw11"]
    assert windows[2][3:] == ["0x0", "false", "0x2000000", "true", "0x0", "false"]


def test_side_by_side() -> None:
    new = bytes(6) + b"AB" + bytes(10) + b"C" + bytes(13)
    page = PageDiff(0x1004, 0x2004, bytes(32), new)
    layout = DiffLayout(8)
    assert heading("a", "b", layout) == f"{'a':<{layout.half}} | b"
    assert page_lines(page, layout) == [
        "00001008 00 00[00 00]00 00 00 00   ........ | 00002008 00 00[41 42]00 00 00 00   ..AB....",
        "00001010 00 00 00 00 00 00[00]00   ........ | 00002010 00 00 00 00 00 00[43]00   ......C.",
    ]


def test_side_by_side_widths() -> None:
    assert DiffLayout.fitting(200, color=False, end=0x1000).columns == 16
    assert DiffLayout.fitting(100, color=False, end=0x1000) == DiffLayout(8, False, True, 8)
    assert DiffLayout.fitting(80, color=False, end=0x1000) == DiffLayout(8, False, False, 8)
    assert DiffLayout.fitting(100, color=False, end=1 << 33).digits == 16
    page = PageDiff(0, 0, bytes(16), b"\1" + bytes(15))
    for width in (72, 100, 160):
        layout = DiffLayout.fitting(width, color=False, end=0x1000)
        assert all(len(line) <= width for line in page_lines(page, layout))
    colored = page_lines(page, DiffLayout(8, color=True))
    assert "\x1b[1;31m01\x1b[0m 00" in colored[0]


def test_struct() -> None:
    members = [Member(0, 4, "state", 2, "attached"), Member(8, 3, "raw", b"abc", "")]
    assert (
        shown(StructView("title", 0, members, omitted=2))
        == """\
title
OFFSET  NAME   VALUE     MEANING
+0x000  state  0x2       attached
+0x008  raw    61 62 63
2 members that are 0 or padding are left out (--all)"""
    )
    assert value_text(4096, 4) == "0x1000 (4096)"
    assert value_text((1, 2), 8) == "0x1 0x2"
