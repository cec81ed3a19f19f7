# SPDX-License-Identifier: MIT
"""Several kernels in one RAM, as a reboot or kexec leaves them: which one lives."""

from __future__ import annotations

import pytest

from ntbdbg.arch.x86_64 import PTI_USER
from ntbdbg.kernel.alive.liveness import LOOKS, in_use, time_of_day
from ntbdbg.kernel.kernel import Kernel
from tests.support.fakekernel import FakeGuest
from tests.support.fakelinux import CLOCKS, REAL_SEC, RESTART
from tests.support.twokernels import FIRST, RAM, SECOND, kernel, later_and_earlier, together


@pytest.mark.parametrize("second_is_later", [True, False])
def test_the_one_whose_clock_is_the_latest(second_is_later):
    first = kernel(FIRST, REAL_SEC)
    second = kernel(SECOND, REAL_SEC + (60 if second_is_later else -60), "6.12.1")
    notes: list[str] = []
    live = Kernel.open(together(first, second), notify=notes.append)
    expected, other = (second, first) if second_is_later else (first, second)
    assert live.info.release == expected.release
    assert live.info.kernel_offset == expected.kaslr
    assert [info.release for info in live.others] == [other.release]
    assert live.symbol("init_uts_ns").address == expected.symbols["init_uts_ns"]
    assert f"2 kernels are in its RAM; taken: {expected.release}" in notes[0]
    assert "its clock is the latest, 2026-" in notes[0]


@pytest.mark.parametrize("bits", [0, 0x005, PTI_USER | 0x805], ids=["plain", "PCID", "user half"])
def test_the_one_that_a_processor_uses_whatever_clocks_say(bits):
    first, second = later_and_earlier()
    roots = [0, second.space.root | bits]
    if bits & PTI_USER:
        # A process runs in user mode; what it had in the kernel lies one page before.
        pages = bytes(second.space.data[second.space.root :][:4096])
        top = second.physical(second.alloc(8192, align=8192))
        second.space.poke(top, pages)
        roots = [0, top | bits]
    notes: list[str] = []
    memory = together(first, second)
    live = Kernel.open(memory, notify=notes.append, roots=lambda: roots)
    assert live.info.release == second.release
    assert [info.release for info in live.others] == [first.release]
    assert "a processor uses its page tables" in notes[0]
    assert in_use([live]) == [True]


def test_a_restart_of_the_machine_ends_a_kernel():
    first, second = later_and_earlier()
    first.at(first.symbols["system_state"], "unsigned int")[""] = RESTART
    notes: list[str] = []
    live = Kernel.open(together(first, second), notify=notes.append)
    assert live.info.release == second.release
    assert "the others have ended by their own word" in notes[0]


def test_a_panic_ends_a_kernel_that_processors_still_hold():
    """A crash kernel is started on one processor; the others are left where they were."""
    first, second = later_and_earlier()
    first.at(first.symbols["panic_cpu"], "int")[""] = 0
    roots = [first.space.root, second.space.root]
    live = Kernel.open(together(first, second), roots=lambda: roots)
    assert live.info.release == second.release


def test_when_no_processor_uses_any_the_note_says_so():
    asked: list[int] = []
    notes: list[str] = []

    def roots() -> list[int]:
        asked.append(1)
        return [0x1000, 1 << 60]

    live = Kernel.open(together(*later_and_earlier()), notify=notes.append, roots=roots)
    assert live.info.release == "6.1.0-56-amd64"
    assert "clock is the latest" in notes[0]
    assert "no processor uses page tables of any, so perhaps none of them lives" in notes[0]
    assert len(asked) == LOOKS
    assert in_use([live]) == [False]


def test_one_kernel_alone_is_not_asked_for():
    def roots() -> list[int]:
        raise AssertionError("nobody needs registers here")

    assert Kernel.open(kernel(FIRST, REAL_SEC).memory, roots=roots).others == []


def test_one_whose_memory_is_used_by_others_is_not_the_live_one():
    first, second = kernel(FIRST, REAL_SEC), kernel(SECOND, REAL_SEC + 60, "6.12.1")
    second.space.write(second.tables["kallsyms_names"], b"\xff" * 4096)
    live = Kernel.open(together(first, second))
    assert live.info.release == first.release
    assert [info.release for info in live.others] == ["6.12.1"]


def test_one_whose_memory_is_gone_in_part_is_not_the_live_one():
    """What it cannot be asked for any more does not speak for it."""
    first, second = FakeGuest(ram=RAM, **FIRST), kernel(SECOND, REAL_SEC, "6.12.1")
    first.symbol("panic_cpu", page := first.vmalloc(4096))
    _ = first.memory
    first.space.unmap(page)
    second.at(second.symbols["system_state"], "unsigned int")[""] = RESTART
    notes: list[str] = []
    live = Kernel.open(together(first, second), notify=notes.append)
    assert live.info.release == second.release
    assert "memory of the others is not whole any more" in notes[0]


def test_one_that_is_not_even_called_so_any_more_is_not_the_live_one():
    first, second = kernel(FIRST, REAL_SEC), kernel(SECOND, REAL_SEC + 60, "6.12.1")
    names = second.at(second.symbols["init_uts_ns"], "struct uts_namespace")
    names["name.release"] = b"6.1.0"
    assert Kernel.open(together(first, second)).info.release == first.release


def test_one_whose_page_tables_are_gone_is_no_kernel_at_all():
    first, second = kernel(FIRST, REAL_SEC), kernel(SECOND, REAL_SEC + 60)
    second.space.poke(second.space.root, bytes(4096))
    notes: list[str] = []
    live = Kernel.open(together(first, second), notify=notes.append)
    assert (live.info.kernel_offset, live.others, notes) == (first.kaslr, [], [])


def test_without_clocks_nobody_knows_and_the_note_says_so():
    notes: list[str] = []
    guests = kernel(FIRST, None), kernel(SECOND, None)
    live = Kernel.open(together(*guests), notify=notes.append)
    assert len(live.others) == 1
    assert "no clock of them can be read, so it may be another one that lives" in notes[0]


def test_the_clock_of_a_kernel_with_preempt_rt():
    guest = FakeGuest()
    guest.types.declare(CLOCKS)
    guest.types.declare("struct seqcount_raw_spinlock { unsigned int seq; void *lock; };")
    guest.types.declare(
        "struct rt_core { struct seqcount_raw_spinlock seq; struct timekeeper timekeeper; };"
    )
    guest.variable("tk_core", "struct rt_core")["timekeeper.xtime_sec"] = REAL_SEC
    assert time_of_day(Kernel.open(guest.memory)) == REAL_SEC
