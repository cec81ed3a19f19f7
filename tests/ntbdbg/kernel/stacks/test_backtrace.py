# SPDX-License-Identifier: MIT
"""Stacks unwound by ORC tables, honest and hostile ones."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.stacks.backtrace import Backtrace, Backtracer
from ntbdbg.kernel.stacks.unwind import MOST_FRAMES
from tests.support.fakekernel import FakeGuest
from tests.support.fakestack import FakeStacks
from tests.support.faketasks import FakeTasks

USER_CS, KERNEL_CS = 0x33, 0x10


class Made:
    """A guest with functions whose entries show every way to find a caller."""

    def __init__(self, form: str) -> None:
        self.guest = FakeGuest()
        self.tasks = FakeTasks(self.guest)
        self.stacks = stacks = FakeStacks(self.guest, form)
        self.task = self.tasks.add(7, "worker")
        self.leaf = stacks.function("leaf")
        self.pushed = stacks.function("pushed", sp=24, bp=-16, bp_reg="prev_sp")
        self.framed = stacks.function("framed", sp=16, sp_reg="bp", bp=-16, bp_reg="prev_sp")
        self.switched = stacks.function("on_other_stack", sp=8, sp_reg="sp@")
        self.by_frame = stacks.function("by_frame", sp=-8, sp_reg="bp@")
        self.by_r10 = stacks.function("aligned", sp=0, sp_reg="r10")
        self.entry = stacks.function("asm_exc_page_fault", sp=0, kind="regs")
        self.early = stacks.function("early_entry", sp=0, kind="iret")
        self.end = stacks.function("ret_from_fork", kind="end")
        self.unknown = stacks.function("nobody_knows", kind="undefined")
        self.no_entry = self.guest.function("before_all", 16)
        stacks.finish()

    def blocked(self, *words: int, bp: int = 0) -> Backtrace:
        self.stacks.block(self.task, words, bp=bp)
        return self.tracer().of_task(self.task.address)

    def tracer(self) -> Backtracer:
        return Kernel(self.guest.memory, Kernel.open(self.guest.memory).info).backtracer()


@pytest.fixture(params=["old", "new", "newer"])
def made(request: pytest.FixtureRequest) -> Made:
    return Made(request.param)


def test_a_task_that_waits(made: Made) -> None:
    trace = made.blocked(made.leaf + 9, made.pushed + 5, 1, 2, made.end + 3)
    assert trace.names == ("leaf+0x9", "pushed+0x5", "ret_from_fork+0x3")
    assert [named.frame.kind for named in trace.frames] == ["switched", "call", "call"]
    assert (trace.end, trace.problem) == ("kernel", "")


def test_a_call_at_the_end_of_a_function_belongs_to_it(made: Made) -> None:
    """Behind its last instruction lies another function, which is not the caller."""
    trace = made.blocked(made.leaf + 64, made.end + 3)
    assert trace.names == ("leaf+0x40", "ret_from_fork+0x3")


def test_frame_pointers_are_restored(made: Made) -> None:
    top = made.stacks.stack([0, made.end + 1])
    trace = made.blocked(made.pushed + 1, 0, top, made.framed + 2, bp=0xBAD)
    assert trace.names == ("pushed+0x1", "framed+0x2", "ret_from_fork+0x1")


def test_stacks_that_are_switched(made: Made) -> None:
    task_stack = made.stacks.stack([made.end + 1])
    trace = made.blocked(made.switched + 1, task_stack)
    assert trace.names == ("on_other_stack+0x1", "ret_from_fork+0x1")
    holder = made.stacks.stack([task_stack + 8])
    trace = made.blocked(made.by_frame + 1, bp=holder + 8)
    assert trace.names == ("by_frame+0x1", "ret_from_fork+0x1")


def test_an_exception_shows_who_was_interrupted(made: Made) -> None:
    below = made.stacks.stack([made.end + 1])
    regs = made.stacks.regs({"rip": made.leaf + 4, "cs": KERNEL_CS, "rsp": below})
    trace = made.blocked(made.entry + 5, *regs)
    assert trace.names == ("asm_exc_page_fault+0x5", "leaf+0x4", "ret_from_fork+0x1")
    assert trace.frames[1].frame.kind == "interrupted"


def test_a_short_frame_is_enough(made: Made) -> None:
    below = made.stacks.stack([made.end + 1])
    trace = made.blocked(made.early + 5, made.leaf, KERNEL_CS, 0, below, 0)
    assert trace.names == ("early_entry+0x5", "leaf", "ret_from_fork+0x1")


def test_user_space_is_an_end(made: Made) -> None:
    regs = made.stacks.regs({"rip": 0x401000, "cs": USER_CS, "rsp": 0x7FFF0000})
    trace = made.blocked(made.entry + 5, *regs)
    assert trace.names == ("asm_exc_page_fault+0x5",)
    assert (trace.end, trace.problem) == ("user", "")


def test_registers_saved_by_an_exception_are_used(made: Made) -> None:
    below = made.stacks.stack([made.end + 1]) + 8
    regs = made.stacks.regs({"rip": made.by_r10, "cs": KERNEL_CS, "r10": below})
    assert made.blocked(made.entry + 5, *regs).names[-1] == "ret_from_fork+0x1"
    problem = made.blocked(made.by_r10 + 1).problem
    assert "register r10, which nobody saved" in problem


def test_a_cpu_begins_at_its_registers(made: Made) -> None:
    top = made.stacks.stack([made.end + 1])
    tracer = made.tracer()
    trace = tracer.of_cpu({"rip": made.leaf, "rsp": top, "rbp": 0, "cs": KERNEL_CS})
    assert trace.names == ("leaf", "ret_from_fork+0x1")
    assert trace.frames[0].frame.kind == "cpu"
    assert tracer.of_cpu({"rip": 0x401000, "cs": USER_CS}).end == "user"


def test_a_call_of_null_names_the_caller(made: Made) -> None:
    top = made.stacks.stack([made.leaf + 3, made.end + 1])
    trace = made.tracer().of_cpu({"rip": 0, "rsp": top, "cs": KERNEL_CS})
    assert trace.names == ("0x0", "leaf+0x3", "ret_from_fork+0x1")


def test_code_without_entry_is_followed_by_frame_pointers_and_said_so(made: Made) -> None:
    start = made.guest.symbols["startup_64"]
    frame = made.stacks.stack([0, made.end + 1])
    trace = made.blocked(start + 3, bp=frame)
    assert trace.names[1:] == ("ret_from_fork+0x1",)
    assert [named.frame.reliable for named in trace.frames] == [True, False]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([0x1234], "is no address of the kernel's code"),
        ([0xFFFF_FFFF_0000_0000], "is no address of the kernel's code"),
    ],
)
def test_a_return_address_that_is_none_ends_it(made: Made, words: list[int], why: str) -> None:
    trace = made.blocked(made.leaf + 1, *words)
    assert trace.names == ("leaf+0x1",)
    assert why in trace.problem


def test_what_the_tables_do_not_know_ends_it(made: Made) -> None:
    assert "do not say who called" in made.blocked(made.unknown + 1).problem


def test_a_stack_that_is_not_there_is_said(made: Made) -> None:
    made.task["thread.sp"] = 0xDEAD_0000
    trace = made.tracer().of_task(made.task.address)
    assert (trace.frames, "stack cannot be read" in trace.problem) == ((), True)
    assert "stack cannot be read" in made.blocked(made.framed + 1, bp=0x10).problem


def test_a_circle_ends(made: Made) -> None:
    place = made.stacks.stack([0, 0, 0])
    made.guest.space.write(place, place.to_bytes(8, "little"))
    made.guest.space.write(place + 8, (made.framed + 1).to_bytes(8, "little"))
    assert "in a circle" in made.blocked(made.framed + 1, bp=place).problem


def test_an_endless_stack_ends(made: Made) -> None:
    words = [made.leaf + 1] * 400
    trace = made.blocked(*words)
    assert len(trace.frames) == MOST_FRAMES
    assert f"only the first {MOST_FRAMES}" in trace.problem


def test_a_kernel_without_tables_says_so() -> None:
    guest = FakeGuest()
    FakeTasks(guest)
    guest.types.declare("struct orc_entry { int x; };")
    with pytest.raises(KernelError, match="CONFIG_UNWINDER_ORC"):
        Kernel.open(guest.memory).backtracer()


def test_tables_of_absurd_size_are_refused() -> None:
    made = Made("old")
    made.guest.symbols["__stop_orc_unwind"] = made.guest.symbols["__start_orc_unwind"] + 6
    with pytest.raises(KernelError, match="make no sense"):
        made.tracer()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_stack_and_any_table_end(data: st.DataObject) -> None:
    made = _shared()
    places = st.sampled_from([made.leaf, made.framed, made.entry, made.switched, made.early, 0])
    word = st.builds(int.__add__, places, st.integers(0, 80)) | st.integers(0, 2**64 - 1)
    words = data.draw(st.lists(word, min_size=1, max_size=40))
    trace = made.blocked(*words, bp=data.draw(word))
    assert len(trace.frames) <= MOST_FRAMES
    assert trace.end or trace.problem


@cache
def _shared() -> Made:
    return Made("old")
