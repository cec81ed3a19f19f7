# SPDX-License-Identifier: MIT
"""Driver against device: nothing where all is well, each difference by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ntbdbg.ntb.clients import Client, Perf, PerfPeer, PingPong, Tool, ToolWindow
from ntbdbg.ntb.compare import compare, compare_all
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.disagreement import Disagreement, Kind
from ntbdbg.ntb.driver import Driver, DriverPeer, DriverWindow
from ntbdbg.ntb.model import Link, PortFlags, WindowType
from tests.support.fakentb import BARS, idt_switch
from tests.support.fakeswitch import FakeSwitch

PING = PingPong(in_db=1, out_db=4, out_peer=0, next_mask=1, previous_mask=0, count=9)
TOOL = Tool(
    outbound=(ToolWindow(0, 0, 0x40_0000, 0x10000), ToolWindow(3, 0, 0x80_0000, 2 << 20)),
    inbound=(),
)
PERF = Perf(
    window=0,
    busy=False,
    peers=(
        PerfPeer(
            index=0,
            window=1,
            out_address=0x20_0000,
            out_size=2 << 20,
            out_mapped=BARS[4],
            in_address=0x60_0000,
            in_size=2 << 20,
            link_up=True,
            done=True,
        ),
    ),
)


def link_of(switch: FakeSwitch) -> Link:
    return decode_page(switch.build(), "page")


def agreeing(link: Link, part: int, client: Client | None, name: str | None) -> Driver:
    """The driver that has read everything from this very device."""

    def windows(of: int) -> tuple[DriverWindow, ...]:
        return tuple(
            DriverWindow(w.index, w.kind, w.bar, w.entry, w.aperture) for w in link.windows_of(of)
        )

    port = link.port(part)
    others = [p for p in link.ports if p.partition != part]
    return Driver(
        slot="0000:00:02.0",
        switch="89HPES24NT6AG2",
        port=port.number,
        partition=part,
        peers=tuple(
            DriverPeer(index, p.number, p.partition, windows(p.partition))
            for index, p in enumerate(others)
        ),
        windows=windows(part),
        bars=tuple((n, a) for n, a in enumerate(port.bar_addr) if a is not None),
        bus_master=port.bus_master,
        registers=port.bar_addr[0],
        client_name=name,
        client=client,
        address=0xFFFF_8880_0012_3000,
    )


def tool_switch() -> FakeSwitch:
    switch = idt_switch()
    switch.translate(0, address=0x40_0000, size=0x10000)
    switch.translate_entry(0, 2, address=0x80_0000)
    switch.port(0).indbellmsk = 0x1234  # its user does as she likes
    switch.port(0).msgstsmsk = 0
    return switch


def perf_switch() -> FakeSwitch:
    switch = idt_switch()
    switch.port(0).msgstsmsk = 0x000E_000F
    switch.translate_entry(0, 0, address=0x20_0000)
    return switch


def unbound_switch() -> FakeSwitch:
    switch = idt_switch()
    switch.link_down(0)
    return switch


Case = tuple[Callable[[], FakeSwitch], Client | None, str | None]
CASES: dict[str, Case] = {
    "pingpong": (idt_switch, PING, "ntb_pingpong"),
    "tool": (tool_switch, TOOL, "ntb_tool"),
    "perf": (perf_switch, PERF, "ntb_perf"),
    "no client": (unbound_switch, None, None),
    "another client": (tool_switch, None, "ntb_netdev"),
}


def found(
    case: str,
    *,
    driver: Callable[[Driver], Driver] = lambda d: d,
    device: Callable[[FakeSwitch], None] = lambda s: None,
) -> list[Disagreement]:
    """What differs after the driver, or the device, has been changed behind the other's back."""
    make, client, name = CASES[case]
    switch = make()
    before = agreeing(link_of(switch), 0, client, name)
    device(switch)
    switch.update_open()
    return compare(driver(before), link_of(switch), 0)


@pytest.mark.parametrize("case", CASES)
def test_a_healthy_port_has_no_disagreement(case: str) -> None:
    assert found(case) == []


def test_while_pingpong_waits_its_doorbell_is_unmasked() -> None:
    def ping(switch: FakeSwitch) -> None:
        switch.port(0).indbellmsk = 0xFFFF_FFFE

    assert found("pingpong", device=ping) == []


@pytest.mark.parametrize("nports", [3, 6])
def test_more_ports(nports: int) -> None:
    switch = idt_switch(nports)
    link = link_of(switch)
    ping = replace(PING, in_db=1 << 2, out_db=1 << 4, out_peer=1)
    driver = agreeing(link, 1, ping, "ntb_pingpong")
    assert compare(driver, link, 1) == []
    fewer = replace(driver, peers=driver.peers[1:])
    assert Kind.PEERS in {one.kind for one in compare(fewer, link, 1)}


def first_window(driver: Driver, **changes: object) -> Driver:
    changed = replace(driver.windows[0], **changes)  # type: ignore[arg-type]
    return replace(driver, windows=(changed, *driver.windows[1:]))


DRIVER_SIDE: dict[str, tuple[str, Callable[[Driver], Driver], Kind]] = {
    "port": ("tool", lambda d: replace(d, port=4), Kind.PORT),
    "partition": ("tool", lambda d: replace(d, partition=3), Kind.PARTITION),
    "peers": ("no client", lambda d: replace(d, peers=()), Kind.PEERS),
    "count": ("tool", lambda d: replace(d, windows=d.windows[:-1]), Kind.WINDOW_COUNT),
    "kind": ("tool", lambda d: first_window(d, kind=WindowType.LUT24), Kind.WINDOW),
    "size": ("tool", lambda d: first_window(d, size_max=4096), Kind.WINDOW),
    "peer's": (
        "tool",
        lambda d: replace(d, peers=(replace(d.peers[0], windows=d.windows[:2]),)),
        Kind.WINDOW_COUNT,
    ),
    "bar": ("tool", lambda d: replace(d, bars=((0, BARS[0]), (2, 0xFD00_0000), (4, BARS[4]))),
            Kind.BAR),
    "bar gone": ("tool", lambda d: replace(d, bars=d.bars[:2]), Kind.BAR),
    "registers": ("tool", lambda d: replace(d, registers=0xFEB0_1000), Kind.REGISTERS),
    "bus master": ("tool", lambda d: replace(d, bus_master=False), Kind.BUS_MASTER),
    "own bit": ("pingpong", lambda d: replace(d, client=replace(PING, in_db=2)),
                Kind.DOORBELL_BIT),
    "peer's bit": ("pingpong", lambda d: replace(d, client=replace(PING, out_db=1)),
                   Kind.DOORBELL_BIT),
    "no such peer": ("pingpong", lambda d: replace(d, client=replace(PING, out_peer=-1)),
                     Kind.DOORBELL_BIT),
    "window forgotten": ("tool", lambda d: replace(d, client=Tool((), ())),
                         Kind.STRAY_TRANSLATION),
    "another address": (
        "tool",
        lambda d: replace(d, client=Tool((replace(TOOL.outbound[0], address=0x50_0000),
                                          TOOL.outbound[1]), ())),
        Kind.TRANSLATION,
    ),
    "another size": (
        "tool",
        lambda d: replace(d, client=Tool((replace(TOOL.outbound[0], size=0x8000),
                                          TOOL.outbound[1]), ())),
        Kind.TRANSLATION,
    ),
    "link": (
        "perf",
        lambda d: replace(d, client=replace(PERF, peers=(replace(PERF.peers[0], link_up=False),))),
        Kind.LINK_UP,
    ),
    "writes elsewhere": (
        "perf",
        lambda d: replace(
            d, client=replace(PERF, peers=(replace(PERF.peers[0], out_mapped=BARS[2]),))
        ),
        Kind.OTHER_WINDOW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIVER_SIDE)
def test_the_driver_is_wrong(name: str) -> None:
    case, change, kind = DRIVER_SIDE[name]
    assert kind in {one.kind for one in found(case, driver=change)}


def unmask_doorbell(switch: FakeSwitch) -> None:
    switch.port(0).indbellmsk = 0xFFFF_FFF7


def unmask_message(switch: FakeSwitch) -> None:
    switch.port(0).msgstsmsk = 0x000F_0007


def no_bus_master(switch: FakeSwitch) -> None:
    switch.port(0).pcicmd = 2


def move_bar(switch: FakeSwitch) -> None:
    switch.port(0).bar_addr[2] = 0xE000_0000


def move_registers(switch: FakeSwitch) -> None:
    switch.port(0).bar_addr[0] = 0xE000_0000


def _flag(switch: FakeSwitch, flag: PortFlags) -> None:
    switch.port(1).flags |= flag


def peer_down(switch: FakeSwitch) -> None:
    switch.link_down(1)


DEVICE_SIDE: dict[str, tuple[str, Callable[[FakeSwitch], None], set[Kind]]] = {
    "link off": ("pingpong", lambda s: s.link_down(0), {Kind.LINK_ENABLED}),
    "link on": ("no client", lambda s: s.link_up(0), {Kind.LINK_ENABLED}),
    "doorbell": ("pingpong", unmask_doorbell, {Kind.DOORBELL_MASK}),
    "all doorbells": ("perf", unmask_doorbell, {Kind.DOORBELL_MASK}),
    "message": ("pingpong", unmask_message, {Kind.MESSAGE_MASK}),
    "message of perf": ("perf", unmask_message, {Kind.MESSAGE_MASK}),
    "bus master": ("tool", no_bus_master, {Kind.BUS_MASTER}),
    "bar": ("tool", move_bar, {Kind.BAR, Kind.TRANSLATION}),
    "registers": ("tool", move_registers, {Kind.BAR, Kind.REGISTERS}),
    "stray": ("pingpong", lambda s: s.translate(0, address=0x1000, size=0x1000),
              {Kind.STRAY_TRANSLATION}),
    "stray entry": ("pingpong", lambda s: s.translate_entry(0, 5, address=0x1000),
                    {Kind.STRAY_TRANSLATION}),
    "lost": ("tool", lambda s: s.clear_entry(0, 2), {Kind.TRANSLATION}),
    "moved": ("tool", lambda s: s.translate(0, address=0x44_0000, size=0x10000),
              {Kind.TRANSLATION}),
    "shortened": ("tool", lambda s: s.translate(0, address=0x40_0000, size=0x4000),
                  {Kind.TRANSLATION}),
    "vIOMMU": ("tool", lambda s: _flag(s, PortFlags.IOMMU), {Kind.CLOSED_BY_PEER}),
    "peer down": ("perf", peer_down, {Kind.LINK_UP}),
}  # fmt: skip


@pytest.mark.parametrize("name", DEVICE_SIDE)
def test_the_device_is_otherwise(name: str) -> None:
    case, change, kinds = DEVICE_SIDE[name]
    assert {one.kind for one in found(case, device=change)} == kinds


def test_a_mirror_makes_up_for_the_other_window() -> None:
    switch = perf_switch()
    switch.header.cfg_flags |= 2
    link = link_of(switch)
    assert link.header.mirror_mw
    elsewhere = replace(PERF, peers=(replace(PERF.peers[0], out_mapped=BARS[2]),))
    assert compare(agreeing(link, 0, elsewhere, "ntb_perf"), link, 0) == []


def test_two_drivers_disagree_about_a_buffer() -> None:
    switch = perf_switch()
    switch.port(1).msgstsmsk = 0x000E_000F
    switch.translate_entry(1, 0, address=0x60_0000)
    link = link_of(switch)
    theirs = replace(PERF.peers[0], out_address=0x60_0000, in_address=0x20_0000)
    drivers = {
        0: agreeing(link, 0, PERF, "ntb_perf"),
        1: agreeing(link, 1, replace(PERF, peers=(theirs,)), "ntb_perf"),
    }
    assert compare_all(drivers, link) == {0: [], 1: []}
    moved = replace(theirs, in_address=0x30_0000)
    drivers[1] = replace(drivers[1], client=replace(PERF, peers=(moved,)))
    one = compare_all(drivers, link)[0]
    assert [d.kind for d in one] == [Kind.BUFFER]
    assert str(one[0]) == (
        "mw1: buffer that a peer's window leads to: the driver has 0x200000 at port 2, "
        "the device of port 2 has its buffer at 0x300000"
    )


def test_what_a_peer_closes_in_words() -> None:
    (one, *_) = found("tool", device=lambda switch: _flag(switch, PortFlags.IOMMU))
    assert str(one) == (
        "mw0: whether a window reaches the peer: the driver has it translated, the device "
        "closed: peer has an IOMMU, its DMA addresses are not physical ones (flag IOMMU)"
    )


def test_in_words() -> None:
    (one,) = found("pingpong", device=unmask_doorbell)
    assert (
        str(one)
        == "masked doorbells: the driver has all but 0x1 masked, the device 0x8 unmasked besides"
    )
    (one,) = found("tool", device=lambda s: s.clear_entry(0, 2))
    assert str(one) == (
        "mw3: translation of a window: the driver has partition 1 0x800000, 0x200000 bytes, "
        "the device none"
    )
