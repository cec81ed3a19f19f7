# SPDX-License-Identifier: MIT
"""The flight recorder as tools read it: whole, wrapped, moving, lying."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import NtbError, UsageError
from ntbdbg.ntb import kinds, page
from ntbdbg.ntb.kinds import Close, Kick, Kind, News, Quiet, Refused, Stop
from ntbdbg.ntb.kindwords import GROUPS, WORDS, parse_kinds, word_of
from ntbdbg.ntb.recorder import Event
from ntbdbg.ntb.sharedpage import PageBytes
from ntbdbg.ntb.story import Story, read_story
from ntbdbg.ntb.told import Teller
from tests.support.fakerings import FakeRings
from tests.support.fakeswitch import FakeSwitch

CHECKOUT = Path(__file__).parents[3]
HEADER = (CHECKOUT / "qemu_src/include/hw/ntb/ntb_shm.h").read_text()
NAMES = {0: "qemu1", 1: "qemu2"}
TELLER = Teller(NAMES)


def switch_with(*rows: tuple[int, int, Kind]) -> tuple[FakeSwitch, FakeRings]:
    switch = FakeSwitch()
    rings = switch.record()
    for part, ns, kind in rows:
        rings.record(part, ns, kind)
    return switch, rings


def story_of(switch: FakeSwitch) -> Story:
    return read_story(PageBytes("page", switch.build()))


def event(kind: Kind, **values: int | None) -> Event:
    given = {"num": 0, "a": 0, "b": 0, "peer": None, "times": 1, "last_ns": 0} | values
    return Event(partition=0, lane=0, number=0, first_ns=0, kind=kind, **given)  # type: ignore[arg-type]


def test_kinds_are_those_of_the_device() -> None:
    found = {n: int(v) for n, v in re.findall(r"#define NTB_SHM_EV_(\w+)\s+(\d+)$", HEADER, re.M)}
    assert found == {kind.name: kind.value for kind in Kind}
    for prefix, members in {
        "STOP": Stop,
        "CLOSE": Close,
        "NEWS": News,
        "REFUSED": Refused,
        "KICK": Kick,
        "QUIET": Quiet,
    }.items():
        words = dict(re.findall(rf"#define NTB_SHM_{prefix}_(\w+)\s+(\d+)", HEADER))
        assert {name: int(value) for name, value in words.items()} == {
            member.name: member.value for member in members
        }
    assert f"NTB_SHM_EV_TRAPPED      {kinds.TRAPPED:#x}" in HEADER


def test_kinds_document() -> None:
    text = (CHECKOUT / "docs/shared-page.md").read_text()
    table = text[text.index("### Kinds of events") :]
    found = re.findall(r"^\| ([A-Z_]+) \| (\d+) \| .+ \| .* \|$", table, re.MULTILINE)
    assert [(name, int(number)) for name, number in found] == [(k.name, k.value) for k in Kind]


def test_every_kind_has_a_word_and_one_group() -> None:
    grouped = [kind for kinds_of in GROUPS.values() for kind in kinds_of]
    assert sorted(grouped) == sorted(Kind)
    assert len(set(WORDS.values())) == len(Kind)
    assert not set(WORDS.values()) & set(GROUPS)
    assert parse_kinds("doorbell-sent, wakeup") == {Kind.DB_SENT, Kind.KICK, Kind.WOKEN}
    assert word_of(77) == "77"
    with pytest.raises(UsageError, match="no kind of event is called 'bell'"):
        parse_kinds("bell")


def test_one_story_of_all_ports_in_the_order_of_time() -> None:
    switch, _ = switch_with(
        (1, 5000, Kind.DB_IN), (0, 1000, Kind.ATTACH), (0, 4000, Kind.DB_SENT), (1, 2000, Kind.LINK)
    )
    story = story_of(switch)
    assert [(e.partition, e.first_ns, e.kind) for e in story.events] == [
        (0, 1000, Kind.ATTACH),
        (1, 2000, Kind.LINK),
        (0, 4000, Kind.DB_SENT),
        (1, 5000, Kind.DB_IN),
    ]
    assert [*story.notes(NAMES)] == []
    assert [e.first_ns for e in story.chosen({0}, parse_kinds("doorbell"))] == [4000]
    assert [e.first_ns for e in story.chosen(since_ns=4000)] == [4000, 5000]


@pytest.mark.parametrize("endian", ["little", "big"])
def test_numbers_in_the_order_of_the_host(endian: page.Endian) -> None:
    switch = FakeSwitch(endian=endian)
    switch.record().record(1, 7, Kind.MSG_SENT, num=2, a=0xABCD, b=1, peer=0, times=3, last_ns=9)
    (found,) = story_of(switch).events
    assert found == Event(1, 1, 0, 7, 9, 3, Kind.MSG_SENT, 0, 2, 0xABCD, 1)


def test_what_was_overwritten_is_counted() -> None:
    switch = FakeSwitch()
    rings = switch.record()
    for number in range(page.RING_ENTRIES):
        rings.record(0, number, Kind.DB_SENT)
    rings.record(0, 10**6, Kind.ATTACH)
    story = story_of(switch)
    lost = page.RING_ENTRIES // 2
    assert [e.number for e in story.events if e.lane == 1] == list(range(lost, 2 * lost))
    assert [*story.notes(NAMES)] == [
        f"qemu1: older events were overwritten: {lost} of the traffic lane",
        "qemu2: its port has recorded nothing",
    ]


def test_a_ring_that_lies_is_said() -> None:
    switch, rings = switch_with((0, 1000, Kind.ATTACH), (0, 900, Kind.LINK), (0, 2000, Kind.LINK))
    struct.pack_into("<Q", rings.bytes, rings.place(0, 0, 2), 2)
    story = story_of(switch)
    assert [e.first_ns for e in story.events] == [900, 1000]
    assert story.records[0].problems == (
        "control lane: 1 entries have another's number: the ring lies",
        "control lane: 1 entries have times that run backwards: the ring lies",
    )


@pytest.mark.parametrize("written", [1 << 63, (1 << 64) - 1])
def test_a_ring_that_claims_everything_is_walked_once(written: int) -> None:
    switch, rings = switch_with((0, 1000, Kind.ATTACH))
    struct.pack_into("<Q", rings.bytes, 0, written)
    (record, _) = story_of(switch).records
    assert record.events == ()
    assert "have another's number" in record.problems[0] or "being written" in record.problems[0]


class Moving(PageBytes):
    """A page that is another one at each look."""

    def __init__(self, *looks: bytes) -> None:
        super().__init__("page", looks[-1])
        self.looks = list(looks)

    def _pread(self, size: int) -> bytes:
        if size <= 0x60 or not self.looks:
            return super()._pread(size)
        return self.looks.pop(0)[:size]


def test_an_entry_that_was_being_written_is_read_again() -> None:
    switch, rings = switch_with((0, 1000, Kind.ATTACH), (0, 2000, Kind.LINK))
    whole = switch.build()
    struct.pack_into("<Q", rings.bytes, rings.place(0, 0, 1), 0)
    page_now = Moving(switch.build(), switch.build(), whole, whole)
    assert [e.first_ns for e in read_story(page_now).events] == [1000, 2000]


def test_an_entry_that_never_stops_being_written_is_said() -> None:
    switch, rings = switch_with((0, 1000, Kind.ATTACH), (0, 2000, Kind.LINK))
    struct.pack_into("<Q", rings.bytes, rings.place(0, 0, 1), 0)
    story = story_of(switch)
    assert [e.first_ns for e in story.events] == [1000]
    assert story.records[0].problems == ("control lane: 1 entries were being written",)


def test_a_fold_between_two_looks_is_no_tear() -> None:
    switch, rings = switch_with((0, 1000, Kind.DB_IN))
    before = switch.build()
    struct.pack_into("<QI", rings.bytes, rings.place(0, 2, 0) + 16, 3000, 5)
    (found,) = read_story(Moving(before, switch.build())).events
    assert (found.last_ns, found.times) == (3000, 5)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("ring_off", 0, "has no event rings"),
        ("ring_off", 0x2000, "ring_off 0x2000"),
        ("ring_off", 0x10004, "ring_off 0x10004"),
        ("ring_off", 0xFFFFFFF8, "the page at 0x"),
        ("ring_stride", 0x1000, "2048 entries in 0x1000 bytes"),
        ("ring_stride", 0xFFFFFFF8, "the page at 0x"),
        ("ring_entries", 0, "rings of 0 entries"),
        ("ring_entries", 0xFFFFFFFF, "rings of 4294967295 entries"),
    ],
)
def test_a_header_that_lies_about_rings(field: str, value: int, says: str) -> None:
    switch, _ = switch_with((0, 1000, Kind.ATTACH))
    data = bytearray(switch.build())
    at = page.offset_of(page.layout("little").header, field)
    struct.pack_into("<I", data, at, value)
    with pytest.raises(NtbError, match=re.escape(says)):
        read_story(PageBytes("page", bytes(data)))


def test_a_page_too_small_for_rings_says_what_it_takes() -> None:
    with pytest.raises(NtbError, match="nothing is recorded here") as caught:
        read_story(PageBytes("page", FakeSwitch().build()))
    assert caught.value.hint is not None
    assert "-l 1M" in caught.value.hint


def test_ports_that_record_nothing() -> None:
    switch, _ = switch_with()
    with pytest.raises(NtbError, match="no port has recorded anything"):
        story_of(switch)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_noise_ends_in_a_bounded_story(data: st.DataObject) -> None:
    switch, rings = switch_with((0, 1000, Kind.ATTACH), (1, 2000, Kind.DB_SENT))
    for _ in range(8):
        noise = data.draw(st.binary(min_size=1, max_size=200))
        at = data.draw(st.integers(0, len(rings.bytes) - len(noise)))
        rings.bytes[at : at + len(noise)] = noise
    try:
        story = story_of(switch)
    except NtbError:
        return
    assert len(story.events) <= 2 * page.RING_ENTRIES
    for one in story.events:
        assert TELLER.words(one)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event(Kind.DB_SENT, num=2, a=5), "rings doorbells 0x5 at qemu2"),
        (event(Kind.DB_SENT, num=0, a=5), "rings doorbells 0x5 at nobody: there is no link"),
        (
            event(Kind.DB_SENT, num=6, a=5, b=1),
            "rings doorbells 0x5 at qemu2, partition 2; 0x1 was set already",
        ),
        (
            event(Kind.DB_IN, a=3, times=7, last_ns=1_500_000_000),
            "doorbells 0x3 come in (7 times until 1.500000)",
        ),
        (event(Kind.DB_TAKEN, a=4, b=1), "its driver takes doorbells 0x4; 0x1 stay set"),
        (event(Kind.MSG_SENT, num=2, a=0xAB, peer=1), "sends message 0xab to register 2 of qemu2"),
        (
            event(Kind.MSG_REFUSED, num=2, a=0xAB, peer=1, b=1),
            "message 0xab to register 2 of qemu2 is refused: the register is full",
        ),
        (
            event(Kind.QUIESCE, a=1_234_567, b=2),
            "waited 1.235 ms for peers to close their windows; qemu2 did not in time",
        ),
        (event(Kind.REGISTER, num=0x400, a=2, b=0), "NTCTL 0x0 → 0x2"),
        (event(Kind.COMMAND, a=6, b=2), "PCI command 0x2 → 0x6, bus mastering on"),
        (event(Kind.MASK, num=0x42C, a=1, b=0), "INDBELLMSK 0x0 → 0x1"),
        (event(Kind.MSI, num=0x81, a=0xFEE00000, b=0x4021), "MSI is on: 0x4021 to 0xfee00000"),
        (event(Kind.TRANSLATION, num=1, peer=1), "programs mw1 to lead nowhere"),
        (
            event(Kind.WINDOW_OPEN, num=1 | kinds.TRAPPED, peer=1, a=0x1000, b=0x200),
            "mw1 opens: qemu2 0x1000, 0x200 bytes, partly copied",
        ),
        (event(Kind.WINDOW_CLOSE, num=1, a=Close.PEER), "mw1 closes: the peer does not admit it"),
        (event(Kind.RUN, num=0, a=Stop.PAUSED), "its machine stands still, paused"),
        (event(Kind.IRQ, a=3), "interrupts by MSI: MSG DBELL"),
        (
            event(Kind.QUIET, num=Quiet.TOLD, a=2),
            "no interrupt for DBELL: an earlier one is not answered yet",
        ),
        (event(Kind.QUIET, num=99, a=0x40), "no interrupt for 0x40: reason 99"),
        (event(Kind.FAULT, num=1, a=1), "doorbells 0x1 are lost on purpose"),
        (
            event(Kind.FAULT, num=2, a=1, b=20_000_000),
            "doorbells 0x1 are held back on purpose, for 20 ms",
        ),
        (event(Kind.PEER_GONE, num=1, peer=1), "sees that qemu2 has died"),
        (event(Kind.PEER_ADMITS, num=0, peer=1), "may no longer write into qemu2's RAM"),
        (event(Kind.NEWS_IN, num=News.LINK_DOWN, a=2), "hears of qemu2: its link is down"),
        (event(Kind.KICK, num=Kick.FAILED, peer=1), "cannot wake qemu2"),
        (event(77, num=1, a=2, b=3), "kind 77: 0x1 0x2 0x3"),  # type: ignore[arg-type]
    ],
)
def test_events_in_words(told: Event, words: str) -> None:
    assert TELLER.words(told) == words


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_words(kind: Kind) -> None:
    assert not TELLER.words(event(kind)).startswith("kind")


def test_registers_of_another_model_have_no_names() -> None:
    teller = Teller(NAMES, model=0x1)
    assert teller.words(event(Kind.REGISTER, num=0x400, a=2)) == "register 0x400 0x0 → 0x2"
    assert teller.words(event(Kind.IRQ, a=3)) == "interrupts by MSI: 0x3"
