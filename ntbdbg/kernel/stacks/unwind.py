# SPDX-License-Identifier: MIT
"""From a stack pointer to the functions that are being executed, by the kernel's own tables.

The steps are those of ``unwind_next_frame`` (``arch/x86/kernel/unwind_orc.c``). Stacks are a
guest's bytes: every word may lie, so frames are counted and no place is visited twice.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.arch.x86_64 import X86_64
from ntbdbg.errors import FaultError
from ntbdbg.kernel.stacks.orc import BY_FRAME_POINTER, NULL_CALL, OrcEntry, OrcFinder
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

MOST_FRAMES = 256
MASK = (1 << 64) - 1

PT_REGS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx",
    "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss",
)  # fmt: skip
"""struct pt_regs, word by word."""

_IRET = PT_REGS[16:]
_NAMES = {"ax": "rax", "dx": "rdx", "di": "rdi", "r10": "r10", "r13": "r13"}


@dataclass(frozen=True)
class Frame:
    """A function being executed.

    :ivar address: VA of the instruction to be executed next in it
    :ivar stack: the stack pointer in it
    :ivar kind: ``cpu`` (the processor is there), ``switched`` (the task gave up its CPU there),
        ``call`` (it called the one before), ``interrupted`` (by an interrupt or exception),
        ``inlined`` (it is a part of the next one, which did call it in the source)
    :ivar reliable: whether the tables led there, not a frame pointer that may be none
    :ivar function: what debug information calls it, empty without
    :ivar source: ``kernel/sched/core.c:6660``, where debug information tells it
    """

    address: int
    stack: int
    kind: str
    reliable: bool = True
    function: str = ""
    source: str = ""

    @property
    def lookup(self) -> int:
        """A VA that is in the function for sure: behind a call may lie the next one."""
        return self.address if self.kind in ("cpu", "interrupted") else self.address - 1


@dataclass(frozen=True)
class Unwound:
    """A stack.

    :ivar frames: innermost first
    :ivar end: ``user`` (came from user space), ``kernel`` (a kernel thread's end), or empty
    :ivar problem: why frames are missing; empty if none is
    :ivar notes: what else is to be said of how it was unwound
    """

    frames: tuple[Frame, ...]
    end: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """Where to begin, or go on: a function with its registers.

    :ivar frame: the frame pointer
    :ivar registers: all that are known, None if none else is
    :ivar kind: as `Frame.kind`
    """

    address: int
    stack: int
    frame: int
    registers: Mapping[str, int] | None = None
    kind: str = "switched"


def unwind(memory: PhysicalMemory, orc: OrcFinder, start: Start) -> Unwound:
    """All frames from `start` on.

    :param memory: the kernel's memory by VA
    """
    stepper = Stepper(memory, orc, start)
    frames: list[Frame] = []
    seen: set[tuple[int, int]] = set()
    try:
        for _ in range(MOST_FRAMES):
            frames.append(stepper.frame())
            stepper.step()
            if stepper.place in seen:
                raise Stop(f"the stack goes in a circle at {stepper.place[1]:#x}")
            seen.add(stepper.place)
    except Stop as stop:
        return Unwound(tuple(frames), stop.end, stop.problem)
    return Unwound(tuple(frames), problem=f"only the first {MOST_FRAMES} are shown")


class Stop(Exception):
    """There is no next frame; with a problem, or with the kind of end."""

    def __init__(self, problem: str = "", end: str = "") -> None:
        self.problem = problem
        self.end = end


class Stepper:
    """From frame to frame; its state is that of ``struct unwind_state``."""

    def __init__(self, memory: PhysicalMemory, orc: OrcFinder, start: Start) -> None:
        self._memory = memory
        self._orc = orc
        self._ip, self._sp, self._bp = start.address, start.stack, start.frame
        self._kind = start.kind
        self._registers = start.registers
        self._reliable = True
        self._pages: dict[int, bytes] = {}

    @property
    def place(self) -> tuple[int, int]:
        """Address and stack pointer; no two frames of a stack have the same."""
        return self._ip, self._sp

    @property
    def start(self) -> Start:
        """Where it is now, for whoever goes on from here."""
        return Start(self._ip, self._sp, self._bp, self._registers, self._kind)

    def frame(self) -> Frame:
        """The frame it is at; raises Stop if there is no code."""
        if self._ip and not self._orc.is_text(self._ip):
            raise Stop(f"{self._ip:#x} is no address of the kernel's code")
        return Frame(self._ip, self._sp, self._kind, self._reliable)

    def step(self) -> None:
        """Go to the caller; raises Stop if none is known."""
        try:
            self._step()
        except FaultError as error:
            raise Stop(f"the stack cannot be read: {error.message}") from error

    def _step(self) -> None:
        entry = self._entry()
        if entry.kind == "end":
            raise Stop(end="kernel")
        if entry.kind == "undefined":
            raise Stop(f"the kernel's tables do not say who called {self._ip:#x}")
        caller = self._caller_stack(entry)
        registers = self._registers
        if entry.kind == "call":
            self._ip, sp = self._word(caller - 8), caller
            self._kind, self._registers = "call", None
        elif entry.kind == "regs":
            self._registers = registers = self._saved(caller, PT_REGS)
            self._ip, sp = registers["rip"], registers["rsp"]
            self._kind = "interrupted"
        else:
            part = self._saved(caller, _IRET)
            self._ip, sp = part["rip"], part["rsp"]
            self._registers = {**(registers or {}), **part}
            self._kind = "interrupted"
        self._bp = self._caller_frame(entry, caller, registers)
        self._sp = sp
        self._check_mode()

    def _entry(self) -> OrcEntry:
        if not self._ip:
            return NULL_CALL
        behind_call = self._kind in ("call", "switched")
        found = self._orc.find(self._ip - 1 if behind_call else self._ip)
        if found is None:
            self._reliable = False
            return BY_FRAME_POINTER
        return found

    def _caller_stack(self, entry: OrcEntry) -> int:
        base = entry.sp_base
        if base == "sp":
            return self._sp + entry.sp_offset & MASK
        if base == "bp":
            return self._bp + entry.sp_offset & MASK
        if base == "sp@":
            return self._word(self._sp) + entry.sp_offset & MASK
        if base == "bp@":
            return self._word(self._bp + entry.sp_offset & MASK)
        name = _NAMES.get(base, "")
        if self._registers is None or name not in self._registers:
            raise Stop(f"the stack goes on by register {base}, which nobody saved")
        return self._registers[name]

    def _caller_frame(
        self, entry: OrcEntry, caller: int, registers: Mapping[str, int] | None
    ) -> int:
        if entry.bp_base == "prev_sp":
            return self._word(caller + entry.bp_offset & MASK)
        if entry.bp_base == "bp":
            return self._word(self._bp + entry.bp_offset & MASK)
        return registers["rbp"] if registers and "rbp" in registers else self._bp

    def _check_mode(self) -> None:
        registers = self._registers
        if self._kind == "interrupted" and registers is not None and X86_64.is_user(registers):
            raise Stop(end="user")

    def _saved(self, address: int, names: tuple[str, ...]) -> dict[str, int]:
        return {name: self._word(address + 8 * index) for index, name in enumerate(names)}

    def _word(self, address: int) -> int:
        """Eight bytes; each page is copied once, so that a stack is of one moment."""
        start = address & -PAGE
        if address - start > PAGE - 8:
            return self._memory.word(address)
        if start not in self._pages:
            self._pages[start] = self._memory.read(start, PAGE)
        word: int = struct.unpack_from("<Q", self._pages[start], address - start)[0]
        return word
