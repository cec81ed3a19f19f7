# SPDX-License-Identifier: MIT
"""Stacks unwound by drgn from debug information, and by the kernel's own tables where it ends."""

from __future__ import annotations

from typing import NoReturn

import drgn
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.program.debugunwind import DebugUnwinder
from ntbdbg.kernel.stacks.backtrace import Backtrace, Backtracer
from ntbdbg.kernel.stacks.unwind import MOST_FRAMES
from tests.support import fakevmlinux
from tests.support.fakekernel import FakeGuest
from tests.support.fakestack import FRAME, FakeStacks
from tests.support.faketasks import FakeTasks

SOURCE = """
static inline __attribute__((always_inline)) void helper(void) { asm volatile("nop"); }
__attribute__((noinline)) void leaf(void) { helper(); asm volatile("nop"); }
asm(".cfi_sections .debug_frame\\n"
    ".globl _stext, middle, middle_back, bare, last\\n"
    "_stext: nop\\n"
    "middle: .cfi_startproc\\n sub $24, %rsp\\n .cfi_adjust_cfa_offset 24\\n"
    "        call leaf\\n"
    "middle_back: add $24, %rsp\\n .cfi_adjust_cfa_offset -24\\n ret\\n .cfi_endproc\\n"
    "bare:   nop\\n nop\\n"
    "last:   .cfi_startproc\\n .cfi_undefined rip\\n nop\\n nop\\n .cfi_endproc\\n");
"""
TEXT = 0x1000
REGS = "struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx,"
REGS += " si, di, orig_ax, ip, cs, flags, sp, ss; };"
KERNEL_CS, USER_CS = 0x10, 0x33


@pytest.fixture(scope="module")
def vmlinux(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("vmlinux")
    return fakevmlinux.build(folder, SOURCE, "-g", "-O1", "-fcf-protection=none", text=TEXT)


class Made:
    """A guest that runs this vmlinux, and has code besides that it knows nothing of."""

    def __init__(self, vmlinux: str, *, tables: bool = True) -> None:
        self.vmlinux = vmlinux
        self.guest = FakeGuest()
        self.guest.types.declare(REGS)
        self.task = FakeTasks(self.guest).add(7, "worker")
        self.stacks = FakeStacks(self.guest)
        self.guest.function("what_vmlinux_has", 2 * TEXT)
        self.foreign = self.stacks.function("foreign", sp=16)
        self.entry = self.stacks.function("foreign_entry", sp=0, kind="regs")
        places = fakevmlinux.symbols(vmlinux)
        at = {name: self.guest.base + offset for name, offset in places.items()}
        for name in ("leaf", "middle", "bare", "last"):
            self.guest.symbol(name, at[name], "t")
        self.leaf, self.back, self.bare, self.last = (
            at[name] for name in ("leaf", "middle_back", "bare", "last")
        )
        self.stacks.entry(at["leaf"], sp=8, sp_reg="sp", kind="call")
        self.stacks.entry(at["middle"], sp=32, sp_reg="sp", kind="call")
        self.stacks.entry(self.bare, sp=40, sp_reg="sp", kind="call")
        self.stacks.entry(self.last, sp=0, sp_reg="undefined", kind="end")
        if tables:
            self.stacks.finish()
        self.guest.types.declare("" if tables else FRAME)

    def blocked(self, *words: int, symbols: bool = True) -> Backtrace:
        self.stacks.block(self.task, words)
        return self.tracer(symbols=symbols).of_task(self.task.address)

    def tracer(self, *, symbols: bool = True) -> Backtracer:
        found = self.vmlinux if symbols else None
        return Kernel.open(self.guest.memory, symbols=found).backtracer()


@pytest.fixture
def made(vmlinux: str) -> Made:
    return Made(vmlinux)


def told(trace: Backtrace) -> list[tuple[str, str]]:
    return [(named.text, named.frame.kind) for named in trace.frames]


def test_inlined_functions_and_lines(made: Made) -> None:
    trace = made.blocked(made.leaf + 1, made.back, 1, 2, 3, made.last + 1)
    assert told(trace) == [
        ("helper", "inlined"),
        ("leaf+0x1", "switched"),
        ("middle+0x9", "call"),
        ("last+0x1", "call"),
    ]
    inlined, leaf, *_ = trace.frames
    assert inlined.frame.source.endswith("vmlinux.c:2")
    assert leaf.frame.source.endswith("vmlinux.c:3")
    assert (trace.end, trace.problem, trace.notes) == ("kernel", "", ())


def test_it_agrees_with_the_tables(made: Made) -> None:
    found = made.blocked(made.leaf + 1, made.back, 1, 2, 3, made.back, 1, 2, 3, made.last + 1)
    ours = made.tracer(symbols=False).of_task(made.task.address)
    places = [(n.frame.address, n.frame.stack, n.text) for n in found.frames[1:]]
    assert places == [(n.frame.address, n.frame.stack, n.text) for n in ours.frames]
    assert found.end == ours.end


def test_code_without_debug_information_is_passed_by_the_tables(made: Made) -> None:
    """Before and behind it debug information is used, and it is said."""
    words = [made.leaf + 1, made.foreign + 5, 0, made.back, 1, 2, 3, made.foreign + 6, 0]
    trace = made.blocked(*words, made.last + 1)
    assert [text for text, _ in told(trace)] == [
        *("helper", "leaf+0x1", "foreign+0x5", "middle+0x9", "foreign+0x6", "last+0x1"),
    ]
    assert [bool(named.frame.source) for named in trace.frames[:3]] == [True, True, False]
    assert trace.notes == ("no debug information of foreign: by the kernel's own tables",)


def test_a_task_that_waits_where_nothing_is_known(made: Made) -> None:
    trace = made.blocked(made.foreign + 5, 0, made.back, 1, 2, 3, made.last + 1)
    assert [text for text, _ in told(trace)] == ["foreign+0x5", "middle+0x9", "last+0x1"]
    assert (trace.end, len(trace.notes)) == ("kernel", 1)


def test_where_drgn_ends_early_the_tables_go_on(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DebugUnwinder.trace
    monkeypatch.setattr(DebugUnwinder, "trace", lambda *words: list(whole(*words))[:2])
    trace = made.blocked(made.leaf + 1, made.back, 1, 2, 3, made.last + 1)
    assert [text for text, _ in told(trace)] == ["helper", "leaf+0x1", "middle+0x9", "last+0x1"]
    place = f"{made.leaf + 1:#x}"
    assert trace.notes == (
        f"debug information does not say who called {place}, the kernel's own tables do",
    )


@pytest.mark.parametrize("error", [drgn.FaultError("no such page", 0x10), LookupError("no type")])
def test_where_drgn_fails_the_tables_go_on(
    made: Made, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(DebugUnwinder, "trace", fail)
    trace = made.blocked(made.leaf + 1, made.back, 1, 2, 3, made.last + 1)
    assert [text for text, _ in told(trace)] == ["leaf+0x1", "middle+0x9", "last+0x1"]
    assert trace.end == "kernel"
    assert f"is of no use at {made.leaf + 1:#x}: {error}" in trace.notes[0]


def test_tables_of_absurd_size_are_kept_from_drgn(made: Made) -> None:
    """It would believe them, and want memory for all of it."""
    made.guest.symbols["__stop_orc_unwind_ip"] += 1 << 26
    with pytest.raises(KernelError, match="make no sense"):
        made.tracer()


def test_registers_of_a_cpu_and_of_what_was_interrupted(made: Made) -> None:
    below = made.stacks.stack([made.last + 1])
    saved = made.stacks.regs({"rip": made.leaf, "cs": KERNEL_CS, "rsp": below})
    top = made.stacks.stack(saved)
    registers = {"rip": made.entry + 4, "rsp": top, "rbp": 0, "cs": KERNEL_CS}
    trace = made.tracer().of_cpu(registers)
    assert told(trace) == [
        ("foreign_entry+0x4", "cpu"),
        ("helper", "inlined"),
        ("leaf", "interrupted"),
        ("last+0x1", "call"),
    ]


def test_user_space_is_an_end(made: Made) -> None:
    saved = made.stacks.regs({"rip": 0x401000, "cs": USER_CS, "rsp": 0x7FFF0000})
    trace = made.blocked(made.leaf + 1, made.entry + 4, *saved)
    assert [text for text, _ in told(trace)] == ["helper", "leaf+0x1", "foreign_entry+0x4"]
    assert (trace.end, trace.problem) == ("user", "")


def test_a_kernel_without_tables_has_debug_information(vmlinux: str) -> None:
    made = Made(vmlinux, tables=False)
    trace = made.blocked(made.leaf + 1, made.back, 1, 2, 3, made.last + 1)
    assert [text for text, _ in told(trace)] == ["helper", "leaf+0x1", "middle+0x9", "last+0x1"]
    assert f"who called {made.last + 1:#x}, and" in trace.problem
    assert "no struct orc_entry" in trace.problem


def test_a_return_address_that_is_none_ends_it(made: Made) -> None:
    trace = made.blocked(made.leaf + 1, 0x1234)
    assert [text for text, _ in told(trace)] == ["helper", "leaf+0x1"]
    assert "0x1234 is no address of the kernel's code" in trace.problem


def test_an_endless_stack_ends(made: Made) -> None:
    trace = made.blocked(*[made.leaf + 1] * 400)
    assert len(trace.frames) == MOST_FRAMES
    assert "only the first" in trace.problem


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_stack_ends(vmlinux: str, data: st.DataObject) -> None:
    made = Made(vmlinux)
    code = [made.leaf, made.back, made.bare, made.last, made.foreign, made.entry]
    word = st.builds(int.__add__, st.sampled_from(code), st.integers(0, 40))
    words = data.draw(st.lists(word | st.integers(0, 2**64 - 1), min_size=1, max_size=40))
    trace = made.blocked(*words)
    assert len(trace.frames) <= MOST_FRAMES
    assert trace.end or trace.problem
