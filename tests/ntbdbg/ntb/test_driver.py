# SPDX-License-Identifier: MIT
"""The driver's own view, out of a fake guest's memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.ntb.clients import Perf, PingPong, Tool, ToolWindow
from ntbdbg.ntb.compare import compare
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.driver import Driver, read_driver
from tests.support.fakekernel import FakeGuest
from tests.support.fakentb import BARS, FakeIdt, idt_switch
from tests.support.fakepci import FakePci


def fake() -> tuple[FakeGuest, FakeIdt]:
    guest = FakeGuest(ram=5 << 20)
    return guest, FakeIdt(guest, FakePci(guest), port=0, part=0, peers=[(2, 1)])


def driver_of(guest: FakeGuest) -> Driver:
    return read_driver(Kernel.open(guest.memory))


def test_what_it_keeps_is_read_and_agrees_with_its_device() -> None:
    guest, idt = fake()
    idt.ping_pong(in_db=1, out_db=4)
    driver = driver_of(guest)
    assert (driver.slot, driver.switch) == ("0000:00:02.0", "89HPES24NT6AG2")
    assert (driver.port, driver.partition, driver.address) == (0, 0, idt.dev.address)
    assert [(p.port, p.partition, len(p.windows)) for p in driver.peers] == [(2, 1, 13)]
    assert driver.bars == tuple(BARS.items())
    assert driver.registers == BARS[0]
    assert driver.client_name == "ntb_pingpong"
    assert driver.client == PingPong(1, 4, 0, 1, 0, 7)
    assert driver.notes == ()
    assert compare(driver, decode_page(idt_switch().build(), "page"), 0) == []


def test_windows_of_the_tool() -> None:
    guest, idt = fake()
    idt.tool([(3, 0x80_0000, 0x20_0000)])
    driver = driver_of(guest)
    assert driver.client_name == "ntb_tool"
    assert driver.client == Tool(
        outbound=(ToolWindow(3, 0, 0x80_0000, 0x20_0000),),
        inbound=(ToolWindow(0, 0, 0x40_0000, 0x10000),),
    )


def test_buffers_of_perf() -> None:
    guest, idt = fake()
    idt.perf(
        gidx=1, outbuf_xlat=0x20_0000, outbuf_size=4096, out_phys_addr=BARS[4], sts=1 << 5 | 1 << 6
    )
    client = driver_of(guest).client
    assert isinstance(client, Perf)
    (peer,) = client.peers
    assert (peer.window, peer.out_address, peer.out_size) == (1, 0x20_0000, 4096)
    assert (peer.in_address, peer.link_up, peer.done) == (0, True, True)


def test_a_port_without_a_client() -> None:
    driver = driver_of(fake()[0])
    assert (driver.client_name, driver.client) == (None, None)


def test_a_client_that_is_not_known_has_a_name() -> None:
    guest, idt = fake()
    idt.bind("my_ops", idt.dev)
    driver = driver_of(guest)
    assert (driver.client_name, driver.client) == ("my_ops", None)


def test_what_cannot_be_read_is_told() -> None:
    guest, idt = fake()
    idt.ping_pong(in_db=1, out_db=4)
    idt.dev.set(peer_cnt=200, mws=0x1234, cfgspc=0xDEAD_0000)
    idt.dev["ntb.ctx"] = 0xBAD
    driver = driver_of(guest)
    assert len(driver.peers) == 8
    assert driver.windows == ()
    assert (driver.registers, driver.client_name, driver.client) == (None, "?", None)
    assert [note.split(":")[0] for note in driver.notes] == [
        "its client cannot be read",
        "it claims 200 peers where 8 have room",
        "its windows cannot be read",
        "its registers are not mapped",
    ]


def test_no_device_is_bound() -> None:
    guest = FakeGuest(ram=5 << 20)
    FakePci(guest).add("0000:00:02.0", 0x111D, 0x8091, 0x068000)
    with pytest.raises(KernelError, match="no PCI device is bound to ntb_hw_idt"):
        driver_of(guest)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_damage_never_hangs_or_crashes(data: st.DataObject) -> None:
    guest, words = DAMAGED
    memory = guest.copy()
    values = st.one_of(
        st.sampled_from([0, 0xFF, 1 << 63, (1 << 64) - 1]),
        st.sampled_from(words),
        st.integers(0, 1 << 63),
    )
    for _ in range(data.draw(st.integers(1, 6))):
        place = guest.physical(data.draw(st.sampled_from(words)))
        memory.write(place, data.draw(values).to_bytes(8, "little"))
    try:
        driver = read_driver(Kernel.open(memory))
    except (KernelError, FaultError):
        return
    assert len(driver.windows) <= 64
    compare(driver, decode_page(idt_switch().build(), "page"), 0)


def _damaged() -> tuple[FakeGuest, list[int]]:
    guest, idt = fake()
    context = idt.tool([(0, 0x40_0000, 0x1000)])
    guest.memory  # noqa: B018
    made = [idt.dev, context, idt.pci, *idt.windows[:2]]
    return guest, [
        va for one in made for va in range(one.address, one.address + one.kind.size - 7, 8)
    ]


DAMAGED = _damaged()
