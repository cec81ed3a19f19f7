# SPDX-License-Identifier: MIT
"""printk's ring buffer, by the fake that fills it as the kernel does."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ntbdbg.budget import Budget
from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.log.ring import KernelLog, PrintkRing
from ntbdbg.memory import BufferMemory
from tests.support.fakekernel import FakeGuest
from tests.support.fakelog import FakeLog

WORD = (1 << 64) - 1


def read(guest: FakeGuest, memory: BufferMemory | None = None, since: int = 0) -> KernelLog:
    kernel = Kernel.open(memory or guest.memory)
    return PrintkRing(kernel.virtual, kernel.info).read(since)


def test_records_beyond_what_may_be_spent_are_told_of() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    for number in range(20):
        log.add(f"record {number}")
    kernel = Kernel.open(guest.memory)
    found = PrintkRing(kernel.virtual, kernel.info, lambda: Budget(items=12)).read()
    assert texts(found) == [f"record {number}" for number in range(12)]
    assert "12 things were found" in found.notes[0]


def texts(log: KernelLog) -> list[str]:
    return [record.text for record in log.records]


def test_a_record_says_all_it_knows() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    log.add("Linux version 6.1", level=5, caller=0)
    log.add(
        "vgaarb: über\xff".encode() + b"\xff\n  second line",
        at=12.345678901,
        level=3,
        facility=4,
        caller=1 << 31 | 7,
        subsystem="pci",
        device="+pci:0000:00:02.0",
    )
    found = read(guest)
    assert found.notes == ()
    first, second = found.records
    assert (first.seq, first.time_ns, first.level, first.facility) == (0, 0, 5, 0)
    assert (first.text, first.caller, first.is_complete) == ("Linux version 6.1", "T0", True)
    assert second.text == "vgaarb: über\xff\\xff\n  second line"
    assert (second.seq, second.time_ns, second.level, second.facility) == (1, 12345678901, 3, 4)
    assert (second.caller, second.subsystem, second.device) == ("C7", "pci", "+pci:0000:00:02.0")


def test_what_was_read_before_can_be_left_out() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    for number in range(10):
        log.add(f"line {number}")
    assert texts(read(guest, since=7)) == ["line 7", "line 8", "line 9"]
    assert texts(read(guest, since=10)) == []


def test_an_empty_ring_has_no_records() -> None:
    guest = FakeGuest()
    FakeLog(guest)
    assert read(guest) == KernelLog(())


def test_empty_lines_stay_and_lost_ones_do_not() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    for text, lost in (("one", False), ("", False), ("too long", True), ("two", False)):
        log.add(text, lost=lost)
    found = read(guest)
    assert texts(found) == ["one", "", "two"]
    assert found.notes == ()


def test_a_line_that_may_go_on_is_marked() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    log.add("whole")
    log.add("half", finished=False)
    assert [r.is_complete for r in read(guest).records] == [True, False]


@pytest.mark.parametrize("exact_fit", [False, True])
@given(lengths=st.lists(st.integers(0, 200), min_size=1, max_size=60))
@example(lengths=[56] * 40)  # blocks of 64 bytes end just where the ring does
@example(lengths=[0] * 40 + [200, 0, 200])
@example(lengths=[1, 17, 25, 41, 57, 81, 97, 105, 105, 105, 105, 105])  # positions overflow
@settings(deadline=None, max_examples=15)
def test_the_ring_overwrites_its_oldest_records(exact_fit: bool, lengths: list[int]) -> None:
    guest = FakeGuest(ram=5 << 20)
    log = FakeLog(guest, records=32, size=1024, exact_fit=exact_fit)
    written = [f"{number}:".ljust(length, "x")[:length] for number, length in enumerate(lengths)]
    for text in written:
        log.add(text)
    found = read(guest)
    assert found.notes == ()
    kept = texts(found)
    assert kept == written[len(written) - len(kept) :]
    # It forgets no more than it must: 32 records, or a ring full of blocks and a wrap.
    room = sum(8 + -(-len(text) // 8) * 8 for text in kept if text)
    assert len(kept) in (32, len(written)) or room > 1024 - 2 * 216


def test_what_makes_no_sense_is_left_out_and_told() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    for number in range(4):
        log.add(f"line {number}")
    guest.memory  # noqa: B018
    start = log.desc(1)["text_blk_lpos.begin"]
    log.desc(1)["text_blk_lpos.begin"] = start - 3 * log.size  # three rounds ago
    guest.space.write(log.text + log.desc(2)["text_blk_lpos.begin"] % log.size, bytes(8))  # no id
    found = read(guest)
    assert texts(found) == ["line 0", "line 3"]
    assert found.notes == ("2 records make no sense and are left out",)


def test_a_text_longer_than_its_block_is_cut() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    log.add("12345678")["text_len"] = 60000
    assert texts(read(guest)) == ["12345678"]


def test_more_records_than_there_is_room_for() -> None:
    guest = FakeGuest()
    log = FakeLog(guest, records=16)
    for number in range(20):
        log.add(f"line {number}")
    log.ring["desc_ring.tail_id.counter"] = 5
    found = read(guest)
    assert texts(found) == [f"line {number}" for number in range(4, 20)]
    assert "records where 16 have room" in found.notes[0]


def test_blocks_that_lie_over_each_other_do_not_fill_memory() -> None:
    guest = FakeGuest()
    log = FakeLog(guest, records=64, size=4096)
    for number in range(64):
        log.add("x")["text_len"] = 3000
        identity = log.desc(number)["state_var.counter"] & (1 << 62) - 1
        guest.space.write(log.text + 8 * number, identity.to_bytes(8, "little"))
        log.desc(number).set(
            **{"text_blk_lpos.begin": 4096 + 8 * number, "text_blk_lpos.next": 8191}
        )
    found = read(guest)
    assert 0 < len(found.records) < 10
    assert found.notes == ("records hold more text than the ring can; the rest is left out",)


def test_a_ring_of_absurd_size_is_refused() -> None:
    guest = FakeGuest()
    log = FakeLog(guest)
    log.ring["desc_ring.count_bits"] = 1 << 31
    with pytest.raises(KernelError, match="claims 2"):
        read(guest)


def test_a_kernel_that_does_not_tell_where_its_log_is() -> None:
    guest = FakeGuest()
    with pytest.raises(KernelError, match=r"no OFFSET\(printk_info") as caught:
        read(guest)
    assert "5.10" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("SIZE(prb_desc)=24", "SIZE(prb_desc)=0"),
        ("SIZE(prb_desc)=24", "SIZE(prb_desc)=99999"),
        ("OFFSET(printk_info.seq)=0", "OFFSET(printk_info.seq)=-8"),
        ("LENGTH(printk_info_device)=48", "LENGTH(printk_info_device)=4000"),
    ],
)
def test_a_layout_that_cannot_be(line: str, instead: str) -> None:
    guest = FakeGuest()
    FakeLog(guest).add("text")
    guest.extra[guest.extra.index(line)] = instead
    with pytest.raises(KernelError, match="damaged"):
        read(guest)


def test_another_order_of_bytes_leaves_the_level_unknown() -> None:
    guest = FakeGuest()
    FakeLog(guest).add("text")
    guest.extra.remove("OFFSET(printk_info.caller_id)=20")
    guest.extra.append("OFFSET(printk_info.caller_id)=24")
    (record,) = read(guest).records
    assert (record.text, record.level, record.facility) == ("text", None, None)


@pytest.fixture(scope="module")
def full() -> tuple[FakeGuest, list[int]]:
    """A guest whose log is full, and the VAs of all words that describe it."""
    guest = FakeGuest(ram=5 << 20)
    log = FakeLog(guest, records=16, size=1024)
    for number in range(40):
        log.add(f"record {number}\nwith two lines")
    guest.memory  # noqa: B018
    spans = [(log.ring.address, 88), (log.descs, 16 * 24), (log.infos, 16 * 88), (log.text, 1024)]
    return guest, [va for start, size in spans for va in range(start, start + size, 8)]


@given(data=st.data())
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damage_never_hangs_or_crashes(
    full: tuple[FakeGuest, list[int]], data: st.DataObject
) -> None:
    guest, words = full
    memory = guest.copy()
    values = st.one_of(
        st.sampled_from([0, 1, 3, 1 << 62, 1 << 63, WORD, 0xFFFF_8880_0000_0000]),
        st.sampled_from(words),
        st.integers(0, WORD),
    )
    for _ in range(data.draw(st.integers(1, 6))):
        va, value = data.draw(st.sampled_from(words)), data.draw(values)
        memory.write(guest.physical(va), value.to_bytes(8, "little"))
    try:
        found = read(guest, memory)
    except (KernelError, FaultError):
        return
    assert len(found.records) <= 1 << 18
    assert sum(len(record.text) for record in found.records) <= 4 * 1024
