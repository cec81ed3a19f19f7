# SPDX-License-Identifier: MIT
"""The flight recorder: what ports write into their rings of the shared page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ntbdbg.ntb import page
from ntbdbg.ntb.decode import decode_header
from ntbdbg.ntb.kinds import Close, Kick, Kind, News, Quiet, Refused, Stop
from ntbdbg.ntb.recorder import Event, PortRecord, decode_rings, rings_end
from ntbdbg.ntb.told import Teller
from tests.device import port as nt
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.port import Port
from tests.device.qtest import Build
from tests.support.checkout import CHECKOUT

Pair = tuple[Port, Port]
TARGET = 0x1000000
DEVICE = "/machine/peripheral/port"
HOWTO = CHECKOUT / "docs/howto/my-doorbell-gets-lost.md"


def rings(bench: Bench) -> tuple[PortRecord, ...]:
    data = bench.switch.shm.read_bytes()
    header = decode_header(data, "page")
    assert rings_end(header) <= len(data)
    return decode_rings(data, data, header)


class Story:
    """What a port has written down since the last look."""

    def __init__(self, bench: Bench, port: Port) -> None:
        self.bench, self.port = bench, port
        self.seen: set[tuple[int, int, int]] = set()
        self.new()

    def record(self) -> PortRecord:
        record = rings(self.bench)[self.port.part]
        assert record.recording
        assert record.problems == ()
        return record

    def new(self) -> list[Event]:
        found = [
            event
            for event in self.record().events
            if (event.lane, event.number, event.times) not in self.seen
        ]
        self.seen |= {(event.lane, event.number, event.times) for event in found}
        return sorted(found, key=lambda event: event.last_ns)

    def told(self) -> list[tuple[int, ...]]:
        """Kind, num, a and b of each."""
        return [(e.kind, e.num, e.a, e.b) for e in self.new()]


@pytest.fixture(scope="module")
def recorded(build: Build) -> Iterator[tuple[Bench, Port, Port]]:
    with ExitStack() as stack:
        bench = Bench(build, stack)
        ports = bench.start_pair(id="port")
        yield bench, *ports
        for port in ports:
            port.qemu.stop()


@pytest.fixture
def joined(recorded: tuple[Bench, Port, Port]) -> tuple[Bench, Port, Port]:
    """Two ports whose link is up, and nothing else going on."""
    bench, *ports = recorded
    a, b = (Port(port.qemu, bench.page, port.part) for port in ports)
    for port in (a, b):
        port.reset()
        port.setup()
    eventually(lambda: a.sees_port(b) and b.sees_port(a), "both ports to see each other")
    for port in (a, b):
        port.enable_msi()
        port.init_link_events()
    for port in (a, b):
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    for port in (a, b):
        port.quiet()
    return bench, a, b


def test_a_doorbell_is_told_at_both_ends(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours, theirs = Story(bench, a), Story(bench, b)
    a.write(nt.OUTDBELLSET, 0x5)
    b.settle()
    assert b.read(nt.INDBELLSTS) == 0x5
    b.write(nt.INDBELLSTS, 0x4)
    sent = ours.new()
    assert [(e.kind, e.num, e.a, e.b) for e in sent] == [
        (Kind.DB_SENT, 1 << b.part, 0x5, 0),
        (Kind.KICK, Kick.SENT, 0, 0),
    ]
    assert sent[1].peer == b.part
    came = theirs.new()
    assert [(e.kind, e.num, e.a, e.b) for e in came] == [
        (Kind.WOKEN, 0, 0, 0),
        (Kind.DB_IN, 0, 0x5, 0),
        (Kind.IRQ, 0, nt.DBELL, nt.DBELL),
        (Kind.DB_TAKEN, 0, 0x4, 0x1),
    ]
    times = [sent[0].first_ns, *(event.first_ns for event in came)]
    assert times == sorted(times)


def test_a_doorbell_that_is_set_already_is_told_so(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    a.write(nt.OUTDBELLSET, 1)
    b.settle()
    ours, theirs = Story(bench, a), Story(bench, b)
    a.write(nt.OUTDBELLSET, 3)
    b.settle()
    assert ours.told()[0] == (Kind.DB_SENT, 1 << b.part, 3, 1)
    assert theirs.told()[1:] == [
        (Kind.DB_IN, 0, 3, 0),  # folded: bit 0 of the first, bit 1 of this
        (Kind.QUIET, Quiet.TOLD, nt.DBELL, nt.DBELL),
    ]


@pytest.mark.parametrize(
    ("register", "mask", "quiet", "causes"),
    [
        (nt.INDBELLMSK, 0xF, (Quiet.DB_MASKED, 1), 1),
        (nt.NTINTMSK, nt.INT_ALL, (Quiet.MASKED, nt.DBELL), 1),
    ],
)
def test_why_there_is_no_interrupt(
    joined: tuple[Bench, Port, Port],
    register: int,
    mask: int,
    quiet: tuple[int, int],
    causes: int,
) -> None:
    bench, a, b = joined
    before = b.read(register)
    theirs = Story(bench, b)
    b.write(register, mask)
    assert theirs.told() == [(Kind.MASK, register, mask, before)]
    a.write(nt.OUTDBELLSET, causes)
    b.settle()
    (found,) = [e for e in theirs.new() if e.kind == Kind.QUIET]
    assert (found.num, found.a) == quiet
    assert b.take_msi() == 0


def test_without_bus_mastering_no_msi(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    b.write(nt.NTINTMSK, 0)
    theirs = Story(bench, b)
    b.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY, 2)
    a.write(nt.OUTDBELLSET, 1)
    b.settle()
    told = theirs.told()
    command = nt.COMMAND_MEMORY | nt.COMMAND_MASTER
    assert (Kind.COMMAND, 0, nt.COMMAND_MEMORY, command) in told
    assert (Kind.ADMITS, 0, 0, 0) in told
    assert (Kind.QUIET, Quiet.MASTER, nt.DBELL, nt.DBELL) in told


def test_messages(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours, theirs = Story(bench, a), Story(bench, b)
    a.send_message(0, b.part, 2, 0xABCD)
    b.settle()
    a.send_message(0, b.part, 2, 0x1234)
    a.send_message(0, 5, 1, 0x1)
    b.write(nt.MSGSTS, 1 << 16 + 2)
    told = [words for words in ours.told() if words[0] != Kind.IRQ]  # refused: the guest hears it
    assert told == [
        (Kind.MSG_SENT, 2, 0xABCD, 0),
        (Kind.KICK, Kick.SENT, 0, 0),
        (Kind.MSG_REFUSED, 2, 0x1234, Refused.FULL),
        (Kind.MSG_REFUSED, 1, 0x1, Refused.NOBODY),
    ]
    came = [event for event in theirs.new() if event.kind != Kind.WOKEN]
    assert [(e.kind, e.peer, e.num, e.a) for e in came] == [
        (Kind.MSG_IN, a.part, 2, 0xABCD),
        (Kind.IRQ, None, 0, nt.MSG),
        (Kind.MSG_TAKEN, a.part, 2, 0xABCD),
    ]


def test_windows(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours, theirs = Story(bench, a), Story(bench, b)
    a.set_entry(0, TARGET)
    a.clear_entry(0)
    size = nt.WINDOW_SIZE
    assert ours.told() == [
        (Kind.TRANSLATION, 1, TARGET, size),
        (Kind.WINDOW_OPEN, 1, TARGET, size),
        (Kind.TRANSLATION, 1, 0, 0),
        (Kind.WINDOW_CLOSE, 1, Close.NOWHERE, 0),
    ]
    a.set_entry(0, TARGET)
    b.link_disable()
    a.settle()
    closed = [event for event in ours.new() if event.kind == Kind.WINDOW_CLOSE]
    assert [(event.num, event.a) for event in closed] == [(1, Close.PEER)]
    assert closed[0].lane == 2
    told = theirs.told()
    (waited,) = [words for words in told if words[0] == Kind.QUIESCE]
    assert 0 < waited[2] < 10**10
    assert waited[3] in (0, 1 << a.part)  # on a busy host it may be late
    assert (Kind.REGISTER, nt.NTCTL, 0, nt.CPEN) in told
    assert (Kind.REGISTER, nt.NTMTBLDATA, 0, 1 | b.part << 17) in told
    assert (Kind.NEWS, News.SIGNAL, 0, 0) in told


def test_a_direct_window_by_its_limit(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, _ = joined
    ours = Story(bench, a)
    a.set_window(TARGET, size=0x10000)
    told = ours.told()
    assert told[-2:] == [
        (Kind.TRANSLATION, 0, TARGET, 0x10000),
        (Kind.WINDOW_OPEN, 0, TARGET, 0x10000),
    ]


def test_a_machine_that_stands_still(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, _ = joined
    ours = Story(bench, a)
    a.qemu.qmp("stop")
    a.qemu.qmp("cont")
    assert ours.told() == [(Kind.RUN, 0, Stop.PAUSED, 0), (Kind.RUN, 1, 0, 0)]


def test_the_cable(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours, theirs = Story(bench, a), Story(bench, b)
    a.qemu.qmp("qom-set", path=DEVICE, property="link", value=False)
    a.qemu.qmp("qom-set", path=DEVICE, property="link", value=True)
    b.settle()
    kinds = (Kind.CABLE, Kind.LINK)
    assert [words[:2] for words in ours.told() if words[0] in kinds] == [
        (Kind.CABLE, 0),
        (Kind.LINK, 0),
        (Kind.CABLE, 1),
        (Kind.LINK, 1),
    ]
    assert (Kind.NEWS_IN, News.LINK_DOWN) in {words[:2] for words in theirs.told()}


def test_a_doorbell_without_a_link_is_told_as_the_page_shows(
    joined: tuple[Bench, Port, Port],
) -> None:
    bench, a, b = joined
    ours = Story(bench, a)
    b.qemu.qmp("qom-set", path=DEVICE, property="link", value=False)
    try:
        a.settle()
        a.write(nt.OUTDBELLSET, 1)
    finally:
        b.qemu.qmp("qom-set", path=DEVICE, property="link", value=True)
        b.settle()
    (rung,) = [event for event in ours.new() if event.kind == Kind.DB_SENT]
    words = Teller({0: "qemu1", 1: "qemu2"}).words(rung)
    assert f"qemu1  {words}\n" in HOWTO.read_text(encoding="utf-8")
    assert rung.num == 0
    assert b.read(nt.INDBELLSTS) == 0


def test_a_reset_and_what_its_peer_sees_of_it(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours, theirs = Story(bench, a), Story(bench, b)
    a.reset()
    b.settle()
    told = ours.told()
    order = [words[:2] for words in told if words[0] in (Kind.RESET, Kind.LINK, Kind.ADMITS)]
    assert order == [
        (Kind.ADMITS, 0),  # the guest has cleared its command register
        (Kind.RESET, 1),
        (Kind.LINK, 0),
        (Kind.RESET, 0),
        (Kind.LINK, 1),
    ]
    assert any(words[0] == Kind.MSI and words[1] & 1 == 0 for words in told)
    seen = {(e.kind, e.num) for e in theirs.new() if e.peer == a.part}
    assert (Kind.PEER_ADMITS, 0) in seen


def test_msi_as_it_is_set(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, _ = joined
    ours = Story(bench, a)
    a.cfg_write(nt.MSI_CAP + 12, 0x77, 2)
    a.cfg_write(nt.MSI_CAP + 2, 0, 2)
    address = a.msi_address
    (_, on, *first), (_, off, *second) = ours.told()
    assert on & nt.MSI_ENABLE
    assert not off & nt.MSI_ENABLE
    assert first == second == [address, 0x77]


def test_a_hostile_peer_pushes_out_nothing_of_ours(joined: tuple[Bench, Port, Port]) -> None:
    """It rings, sends, and moves its link for ever; our guest does nothing."""
    bench, a, b = joined
    before = Story(bench, a).record()
    for number in range(700):
        b.write(nt.OUTDBELLSET, 1 << number % 32)
        b.send_message(number % 4, a.part, number % 4, number)
        b.write(nt.NTCTL, nt.CPEN * (number % 2))
        a.settle()
    after = Story(bench, a).record()
    assert after.written[:2] == before.written[:2]
    assert after.written[2] - before.written[2] < 40
    bells = [e for e in after.events if e.kind == Kind.DB_IN][-1]
    assert bells.a == nt.ALL_ONES
    assert bells.times == 32
    assert bells.first_ns < bells.last_ns


def test_traffic_does_not_push_out_what_was_programmed(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    a.set_entry(1, TARGET)
    before = Story(bench, a).record()
    for _ in range(700):
        a.write(nt.OUTDBELLSET, 1)
    after = Story(bench, a).record()
    assert after.written[0] == before.written[0]
    assert after.overwritten[1] == after.written[1] - page.RING_ENTRIES // 2 > 0
    kept = [event for event in after.events if event.lane == 1]
    assert [e.number for e in kept] == list(range(after.overwritten[1], after.written[1]))
    b.settle()


def test_a_doorbell_lost_on_purpose(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours, theirs = Story(bench, a), Story(bench, b)
    a.qemu.qmp("qom-set", path=DEVICE, property="x-fault-lose-doorbells", value=1)
    a.write(nt.OUTDBELLSET, 1)
    a.write(nt.OUTDBELLSET, 2)
    b.settle()
    assert b.read(nt.INDBELLSTS) == 2
    assert ours.told()[:2] == [(Kind.FAULT, 1, 1, 0), (Kind.DB_SENT, 1 << b.part, 2, 0)]
    assert (Kind.DB_IN, 0, 2, 0) in theirs.told()
    left = a.qemu.qmp("qom-get", path=DEVICE, property="x-fault-lose-doorbells")
    assert left == 0


def test_a_doorbell_that_is_late_on_purpose(joined: tuple[Bench, Port, Port]) -> None:
    bench, a, b = joined
    ours = Story(bench, a)
    name = "x-fault-delay-doorbells-ms"
    a.qemu.qmp("qom-set", path=DEVICE, property=name, value=20)
    try:
        a.write(nt.OUTDBELLSET, 4)
        eventually(lambda: b.read(nt.INDBELLSTS) == 4, "the late doorbell")
    finally:
        a.qemu.qmp("qom-set", path=DEVICE, property=name, value=0)
    late, sent, _ = ours.new()
    assert (late.kind, late.num, late.a, late.b) == (Kind.FAULT, 2, 4, 20_000_000)
    assert (sent.kind, sent.a) == (Kind.DB_SENT, 4)
    assert sent.first_ns - late.first_ns >= 19_000_000


def test_nothing_is_recorded_in_a_small_page(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(size="64K")
    bench.start_pair()
    header = decode_header(bench.switch.shm.read_bytes(), "page")
    assert (header.ring_off, header.ring_stride, header.ring_entries) == (0, 0, 0)


def test_a_recorder_that_is_off(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    a, b = bench.start(0, x_record="off"), bench.start(1)
    eventually(lambda: a.sees_port(b) and b.sees_port(a), "both ports to see each other")
    a.write(nt.OUTDBELLSET, 1)
    b.settle()
    silent, other = rings(bench)
    assert (silent.recording, silent.written) == (False, (0, 0, 0))
    assert other.recording
    assert Kind.DB_IN in {event.kind for event in other.events}


def test_who_comes_after_a_death_goes_on_with_the_ring(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    a, b = bench.start_pair()
    first = b.qemu.process.pid
    b.qemu.kill()
    eventually(lambda: not a.sees_port(b), "the death of the peer")
    gone = [e for e in rings(bench)[0].events if e.kind == Kind.PEER_GONE]
    assert [(event.peer, event.num) for event in gone] == [(1, 1)]
    b = bench.start(1)
    eventually(lambda: a.sees_port(b), "the next one")
    record = rings(bench)[1]
    joins = [event.a for event in record.events if event.kind == Kind.JOIN]
    assert joins == [first, b.qemu.process.pid]
    assert record.problems == ()


def test_a_ring_that_was_scribbled_on_harms_no_port(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    a, b = bench.start_pair()
    b.qemu.kill()
    eventually(lambda: not a.sees_port(b), "the death of the peer")
    with bench.switch.shm.open("r+b") as file:
        file.seek(page.RING_OFF)
        file.write(b"\xff" * (page.RINGS_END - page.RING_OFF))
    b = bench.start(1)
    a.write(nt.OUTDBELLSET, 1)
    b.settle()
    ours, theirs = rings(bench)
    assert theirs.problems == ()
    assert theirs.written[0] > 0
    assert Kind.DB_IN in {event.kind for event in theirs.events}
    assert ours.problems != ()
