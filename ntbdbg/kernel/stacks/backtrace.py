# SPDX-License-Identifier: MIT
"""Backtraces of tasks and CPUs: who is executing what, and how it came there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ntbdbg.errors import FaultError
from ntbdbg.kernel.stacks.unwind import Frame, Start, Unwound, unwind
from ntbdbg.units import label

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage
    from ntbdbg.kernel.modules.symbolizer import Symbolizer
    from ntbdbg.kernel.stacks.orc import OrcFinder


STEPS_OF_A_FRAME = 8
"""What it takes to find one, to name it and to show it, in steps of the budget."""


class Unwinder(Protocol):
    """Finds all frames of a stack; see `Unwound`."""

    def of_task(self, task: int, start: Start) -> Unwound:
        """Of a task that waits.

        :param task: VA of its ``struct task_struct``
        :param start: where it gave up its CPU, as RAM has it
        """

    def of_cpu(self, start: Start) -> Unwound:
        """From a CPU's registers on."""


class TableUnwinder:
    """Unwinds by the kernel's own tables."""

    def __init__(self, kernel: KernelImage, orc: OrcFinder) -> None:
        self._virtual, self._orc = kernel.virtual, orc

    def of_task(self, task: int, start: Start) -> Unwound:
        return unwind(self._virtual, self._orc, start)

    def of_cpu(self, start: Start) -> Unwound:
        return unwind(self._virtual, self._orc, start)


@dataclass(frozen=True)
class Named:
    """A frame with its name.

    :ivar symbol: ``idt_isr+0x10 [ntb_hw_idt]``, as the kernel's own traces have it; None if no
        symbol is there
    """

    frame: Frame
    symbol: str | None

    @property
    def text(self) -> str:
        """The name, or the address where there is none."""
        return self.symbol or f"{self.frame.address:#x}"


@dataclass(frozen=True)
class Backtrace:
    """One stack with names.

    :ivar frames: innermost first
    :ivar end: ``user``, ``kernel``, or empty; see `Unwound`
    :ivar problem: why frames are missing, empty if none is
    :ivar notes: what else is to be said of how it was unwound
    """

    frames: tuple[Named, ...]
    end: str
    problem: str
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What `Named.text` says of each frame."""
        return tuple(named.text for named in self.frames)


class Backtracer:
    """Unwinds stacks of one kernel, as of now.

    :param symbols: names of this moment
    :raises KernelError: the kernel has no types
    """

    def __init__(self, kernel: KernelImage, symbols: Symbolizer, unwinder: Unwinder) -> None:
        self._kernel, self._symbols, self._unwinder = kernel, symbols, unwinder
        self._thread = kernel.layouts["task_struct"].find("thread.sp").offset
        self._switched = kernel.layouts["inactive_task_frame"]

    def of_cpu(self, registers: Mapping[str, int]) -> Backtrace:
        """What a CPU with these registers executes.

        :param registers: as captures and dumps have them: ``rip``, ``rsp``, ``rbp``, ``cs``, …
        """
        arch = self._kernel.arch
        if arch.is_user(registers):
            return Backtrace((), "user", "")
        names = arch.registers
        address, stack, frame = (
            registers.get(name, 0) for name in (names.pc, names.stack, names.frame)
        )
        start = Start(address, stack, frame, registers, "cpu")
        return self._named(self._unwinder.of_cpu(start))

    def of_task(self, task: int) -> Backtrace:
        """Where a task gave up its CPU; nonsense for one that runs.

        :param task: VA of its ``struct task_struct``
        """
        try:
            place = self._kernel.virtual.read(task + self._thread, 8)
            frame = self._switched.parse(self._kernel.virtual, int.from_bytes(place, "little"))
        except FaultError as error:
            return Backtrace((), "", f"its stack cannot be read: {error.message}")
        start = Start(
            frame.number("ret_addr"), frame.address + self._switched.size, frame.number("bp")
        )
        return self._named(self._unwinder.of_task(task, start))

    def _named(self, found: Unwound) -> Backtrace:
        self._kernel.step(STEPS_OF_A_FRAME * len(found.frames))
        named = tuple(Named(frame, self._name(frame)) for frame in found.frames)
        return Backtrace(named, found.end, found.problem, found.notes)

    def _name(self, frame: Frame) -> str | None:
        """The name of the function, with the offset of the frame's own address."""
        if frame.kind == "inlined":
            return frame.function
        found = self._symbols.find(frame.lookup)
        if found is None:
            return None
        symbol, offset = found
        return label(symbol.title, offset + frame.address - frame.lookup)
