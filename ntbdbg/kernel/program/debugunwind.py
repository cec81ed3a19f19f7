# SPDX-License-Identifier: MIT
"""Stacks unwound by drgn from debug information: with inlined functions and lines of source.

drgn knows the code whose debug information it was given, and the compiler's tables do not cover
all of it. Where it knows no further the kernel's own tables make the step, one frame at a time.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import drgn

from ntbdbg.errors import KernelError, NtbdbgError
from ntbdbg.kernel.modules.symbolizer import Symbolizer
from ntbdbg.kernel.stacks.orc import START_OF_TABLE, OrcFinder
from ntbdbg.kernel.stacks.unwind import (
    MASK,
    MOST_FRAMES,
    PT_REGS,
    Frame,
    Start,
    Stepper,
    Stop,
    Unwound,
)

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.program.objects import Program
    from ntbdbg.kernel.program.program import KernelProgram

FAILURES = (
    LookupError,
    ValueError,
    drgn.FaultError,
    drgn.ObjectAbsentError,
    drgn.OutOfBoundsError,
    NtbdbgError,
)
"""What drgn raises where it cannot go on; our memory's errors pass through it."""

BEHIND_CALL = ("call", "switched")


class DebugUnwinder:
    """Unwinds by the debug information that `kernel` was given.

    :param orc: the kernel's own tables, or why there are none
    """

    def __init__(self, program: KernelProgram, orc: OrcFinder | str) -> None:
        self.kernel, self.prog = program.kernel, program.prog
        self.orc = orc

    @classmethod
    def of(cls, kernel: KernelImage, program: Program, symbols: Symbolizer) -> DebugUnwinder:
        """Unwinds `kernel`, by its own tables as well where it has some.

        :raises KernelError: those make no sense
        """
        try:
            orc: OrcFinder | str = OrcFinder(kernel, symbols)
        except KernelError as error:
            if kernel.table.named(START_OF_TABLE):
                raise  # drgn would read them, whatever their size
            orc = error.message
        return cls(program(), orc)

    def of_task(self, task: int, start: Start) -> Unwound:
        """All frames of a task that waits.

        :param task: VA of its ``struct task_struct``
        :param start: where it gave up its CPU, as RAM has it
        """
        return _Run(self, task).all(start)

    def of_cpu(self, start: Start) -> Unwound:
        """All frames from a CPU's registers on."""
        return _Run(self, None).all(start)

    def knows(self, address: int) -> bool:
        """Whether there is debug information of the code at a VA."""
        try:
            return not self.prog.module(address).wants_debug_file()
        except LookupError:
            return False

    def trace(self, start: Start, task: int | None) -> drgn.StackTrace:
        """What drgn makes of it; raises one of `FAILURES`."""
        if task is not None:
            kind = self.prog.type("struct task_struct *")
            return self.prog.stack_trace(drgn.Object(self.prog, kind, value=task))
        return self.prog.stack_trace(self._registers(start))

    def _registers(self, start: Start) -> drgn.Object:
        """A ``struct pt_regs``, which drgn takes for those of code that was interrupted."""
        # So an address behind a call, where another function may begin, is moved into the call.
        address = start.address - (start.kind in BEHIND_CALL)
        known = {**(start.registers or {}), "rbp": start.frame}
        known |= {"rip": address, "rsp": start.stack}
        raw = struct.pack(f"<{len(PT_REGS)}Q", *(known.get(name, 0) & MASK for name in PT_REGS))
        return drgn.Object.from_bytes_(self.prog, self.prog.type("struct pt_regs"), raw)


_Step = tuple[list[Frame], Start]
"""A function, what was inlined into it before it, and its registers."""


class _Run:
    """The way up one stack.

    :param task: VA of the task whose stack it is, while drgn has not begun with it
    """

    def __init__(self, unwinder: DebugUnwinder, task: int | None) -> None:
        self._unwinder = unwinder
        self._task = task
        self._frames: list[Frame] = []
        self._notes: dict[str, None] = {}
        self._seen: set[tuple[int, int]] = set()
        self._reliable = True

    def all(self, start: Start) -> Unwound:
        try:
            while True:
                start = self._by_tables(self._by_debug_information(start))
        except Stop as stop:
            return Unwound(tuple(self._frames), stop.end, stop.problem, tuple(self._notes))

    def _by_debug_information(self, start: Start) -> Start:
        """Go up as far as drgn knows; gives the last frame it does, which is told already."""
        for frames, place in self._known_steps(start):
            for frame in frames:
                self._add(frame)
            start = place
        return start

    def _known_steps(self, start: Start) -> list[_Step]:
        """From `start` on what drgn has debug information of; `start` itself in any case."""
        task, self._task = self._task, None
        alone = [([Frame(start.address, start.stack, start.kind)], start)]
        knows = self._unwinder.knows
        if not knows(start.address):
            self._note_unknown(start.address)
            return alone
        try:
            steps = _steps(self._unwinder.trace(start, task), start)
            return list(itertools.takewhile(lambda step: knows(step[1].address), steps)) or alone
        except FAILURES as error:
            self._notes[f"debug information is of no use at {start.address:#x}: {error}"] = None
            return alone

    def _by_tables(self, start: Start) -> Start:
        """The caller of what drgn could not go up from; raises Stop if none is known."""
        orc = self._unwinder.orc
        if isinstance(orc, str):
            raise Stop(f"debug information does not say who called {start.address:#x}, and {orc}")
        stepper = Stepper(self._unwinder.kernel.virtual, orc, start)
        stepper.step()
        self._reliable = self._reliable and stepper.frame().reliable
        if self._unwinder.knows(start.address) and self._unwinder.knows(stepper.place[0]):
            self._notes[
                f"debug information does not say who called {start.address:#x}, "
                "the kernel's own tables do"
            ] = None
        return stepper.start

    def _note_unknown(self, address: int) -> None:
        place = Symbolizer(self._unwinder.kernel).find(address)
        where = place[0].module or place[0].name if place else f"{address:#x}"
        self._notes[f"no debug information of {where}: by the kernel's own tables"] = None

    def _add(self, frame: Frame) -> None:
        if len(self._frames) >= MOST_FRAMES:
            raise Stop(f"only the first {MOST_FRAMES} are shown")
        if frame.kind != "inlined":
            if (frame.address, frame.stack) in self._seen:
                raise Stop(f"the stack goes in a circle at {frame.stack:#x}")
            self._seen.add((frame.address, frame.stack))
        self._frames.append(frame if self._reliable else replace(frame, reliable=False))


def _steps(trace: drgn.StackTrace, start: Start) -> Iterator[_Step]:
    """Each function on a stack, up to where drgn knows no address."""
    inlined: list[drgn.StackFrame] = []
    here: Start | None = None
    for frame in trace:
        if frame.is_inline:
            inlined.append(frame)
            continue
        try:
            here = _place(frame) if here else start
        except LookupError:  # the end of a stack may be a frame without an address
            return
        names = [_frame(one, here, "inlined") for one in inlined]
        yield [*names, _frame(frame, here, here.kind)], here
        inlined = []


def _place(frame: drgn.StackFrame) -> Start:
    registers: Mapping[str, int] = frame.registers()
    kind = "interrupted" if frame.interrupted else "call"
    return Start(frame.pc, frame.sp, registers.get("rbp", 0), registers, kind)


def _frame(frame: drgn.StackFrame, place: Start, kind: str) -> Frame:
    return Frame(
        place.address,
        place.stack,
        kind,
        function=frame.function_name or "",
        source=_source(frame),
    )


def _source(frame: drgn.StackFrame) -> str:
    try:
        path, line, _ = frame.source()
    except LookupError:
        return ""
    return f"{path}:{line}"
