# SPDX-License-Identifier: MIT
"""One guest: its memory, its record in the manifest, and what an address means to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ntbdbg.errors import NtbError, TargetError
from ntbdbg.lab.address import AddressExpr, Window
from ntbdbg.lab.place import Place
from ntbdbg.units import parse_size

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ntbdbg.budget import Budget
    from ntbdbg.inspect.journal import Patch
    from ntbdbg.inspect.search import Match
    from ntbdbg.inspect.value import Pattern
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.manifest import GuestRecord
    from ntbdbg.lab.place import Address, GuestLike, LabLike
    from ntbdbg.lab.qmp import Qmp
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.segments import AddressRange


class Guest:
    """A guest of a lab.

    :ivar name: what users call it
    :ivar memory: its guest-physical memory
    :ivar record: what run.json says of it, None for a bare RAM file
    :ivar stale: why its file is not what the guest works with; None if it is, as far as is known
    :ivar is_assumed: whether the memory map is neither from run.json nor as the user wrote it
    """

    def __init__(
        self,
        name: str,
        memory: PhysicalMemory,
        lab: LabLike,
        record: GuestRecord | None = None,
        *,
        stale: str | None = None,
        is_assumed: bool = False,
    ) -> None:
        self.name = name
        self.memory = memory
        self.record = record
        self.lab = lab
        self.stale = stale
        self.is_assumed = is_assumed
        self._kernel: Kernel | None = None

    def __repr__(self) -> str:
        return f"<Guest {self.name}>"

    @property
    def is_live(self) -> bool:
        """Whether its QEMU runs; for a bare RAM file nobody knows, so True."""
        if self.record is None:
            return self.memory.is_live
        return self.record.is_alive()

    @property
    def kernel(self) -> Kernel:
        """The Linux inside, looked for when it is first asked for.

        :raises KernelError: none is understood there
        """
        if self._kernel is None:
            from ntbdbg.kernel.kernel import Kernel

            symbols = self.lab.symbols or self._built_symbols()
            self._kernel = Kernel.open(
                self.memory,
                symbols=symbols,
                notify=self.lab.note,
                roots=self._page_table_roots,
                budget=self._budget(),
                which=self.lab.which_kernel,
            )
            self._note_other_architecture(self._kernel.arch.name)
        return self._kernel

    def _note_other_architecture(self, found: str) -> None:
        if self.record is not None and self.record.arch != found:
            self.lab.note(
                f"{self.name}: run.json has it as {self.record.arch}, but its kernel is one for "
                f"{found}, and is read as such"
            )

    def _budget(self) -> Budget | None:
        """What the command may spend on this guest's word, None for each walk by itself."""
        budget = self.lab.budget()
        if budget is not None:
            budget.widen(self.memory.segments.total)
        return budget

    def _page_table_roots(self) -> list[int]:
        """What leads to the page tables of each processor (x86: CR3), as far as anybody knows."""
        from ntbdbg.arch.known import DEFAULT, by_name
        from ntbdbg.lab.recorded import architecture_of
        from ntbdbg.lab.vcpus import vcpus_of

        root = (by_name(architecture_of(self.record)) or DEFAULT).registers.root
        return [one.registers[root] for one in vcpus_of(self).records if root in one.registers]

    def _built_symbols(self) -> str | None:
        """The vmlinux this guest was booted with, if it has debug information."""
        from ntbdbg.kernel.program.debuginfo import has_debug_info

        built = self.record.kernel.vmlinux if self.record and self.record.kernel else None
        return built if built and has_debug_info(built) else None

    def find_kernel(self) -> Kernel:
        """As `kernel`, looked for anew: after a reboot it is another one."""
        self._kernel = None
        return self.kernel

    @property
    def prog(self) -> Any:
        """The kernel as drgn's `Program`: types, symbols and objects; errors as `kernel`."""
        return self.kernel.prog

    @property
    def partition(self) -> int:
        """Its NT partition on the switch.

        :raises NtbError: the guest is not on a link
        """
        if self.record is None or self.lab.link is None:
            raise NtbError(
                f"{self.name} is not on an NTB link as far as is known",
                hint="windows need a lab with a link; 'ntbdbg info' shows what is there",
            )
        return self.record.index

    def resolve(self, address: Address, size: int = 1) -> Place:
        """Where `[address, address + size)` is, not whether RAM is there.

        :param address: expression, its text, or a guest-physical address
        :raises UsageError: the text is no address expression, or names another guest
        :raises NtbError, FaultError: the window is closed, or ends before `size` bytes
        :raises KernelError: a kernel address, and no kernel is understood there, or it has no
            such symbol, CPU or member
        """
        if isinstance(address, int):
            return Place(self, address, self.memory)
        expr = address
        if isinstance(expr, str):
            expr = AddressExpr.parse(expr, self.lab.names)
        owner = self.owner(expr)
        if owner is not self:
            return owner.resolve(expr.of_its_guest(), size)
        return self._resolve(expr, size)

    def owner(self, expr: AddressExpr) -> GuestLike:
        """The guest that `expr` is about: the one it names, else this one (or its like in CAP)."""
        if expr.capture is not None:
            own = self.record.name if self.record else self.name
            return self.lab.guest(f"{expr.capture}:{expr.guest or own}")
        return self if expr.guest is None else self.lab.guest(expr.guest)

    def _resolve(self, expr: AddressExpr, size: int) -> Place:
        if isinstance(expr.base, Window):
            return self.window_target(expr.base, expr.offset, size)
        if expr.is_physical:
            assert isinstance(expr.base, int)
            return Place(self, expr.base + expr.offset, self.memory)
        from ntbdbg.lab.kernelplace import kernel_place

        return kernel_place(self, expr)

    def window_target(self, window: Window, offset: int, size: int = 1) -> Place:
        """Where `[offset, offset + size)` of an outbound window leads in the peer's memory."""
        from ntbdbg.lab.window import reach_window

        return reach_window(self, window, offset, size)

    def read(self, address: Address, size: int | str) -> bytes:
        """Copy of `size` bytes; errors as `resolve` and `PhysicalMemory.read`."""
        length = parse_size(size) if isinstance(size, str) else size
        place = self.resolve(address, length)
        return place.memory.read(place.address, length)

    def write(self, address: Address, data: bytes) -> None:
        """Store `data` at once, without journal; `patch` is the careful way."""
        place = self.resolve(address, len(data))
        place.memory.write(place.address, data)

    def patch(
        self,
        address: Address,
        data: bytes | str,
        *,
        expect: bytes | str | None = None,
        dry_run: bool = False,
    ) -> Patch:
        """Store `data` after its old bytes are safe in the journal; `Lab.undo` takes it back.

        :param data: bytes, or a value as the command line takes it: ``u32:5``; where the type of
            `address` is known also a bare one: ``init_uts_ns.name.nodename`` takes ``changed``
        :param expect: refuse unless these bytes are there
        :raises RefusedError: they are not
        :raises TargetError: the journal cannot be written; then memory is as before
        """
        from ntbdbg.inspect import patch as patches
        from ntbdbg.lab.patching import patch_bytes
        from ntbdbg.lab.translated import note_translated
        from ntbdbg.lab.writable import in_ram_file

        place, new, old = patch_bytes(self, address, data, expect)
        place.guest.lab.refuse_capture("patched")
        place.guest.lab.refuse_unallowed("write")
        note_translated(place)
        memory = in_ram_file(place, max(len(new), len(old or b"")))
        prepared = patches.prepare(memory, place.address, new, now=time.time(), expect=old)
        if dry_run:
            return prepared
        bare = place.guest.record is None
        return place.guest.lab.journals.apply(memory, prepared, bare=bare)

    def search(
        self,
        pattern: Pattern | bytes | str,
        *,
        within: AddressRange | str | None = None,
        align: int = 1,
        limit: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Match]:
        """Every occurrence of `pattern` (``hex:de ad``); see `ntbdbg.inspect.search.search`.

        :param within: where to look: guest-physical, or as ``search --range`` takes it
        """
        from ntbdbg.inspect.search import search
        from ntbdbg.inspect.value import literal, parse_pattern

        if isinstance(pattern, str):
            pattern = parse_pattern(pattern)
        elif isinstance(pattern, bytes):
            pattern = literal(pattern)
        memory = self.memory
        if isinstance(within, str):
            from ntbdbg.lab.ranges import resolve_range

            _, memory, within = resolve_range(self, within)
        return search(memory, pattern, within=within, align=align, limit=limit, progress=progress)

    def qmp(self) -> AbstractContextManager[Qmp]:
        """QEMU's monitor, to be opened briefly: ``with guest.qmp() as qmp``.

        It talks to one client at a time; while `Lab.frozen` holds it, that conversation is used.

        :raises TargetError: a bare RAM file, or the guest's QEMU is gone
        """
        from ntbdbg.lab.monitors import monitor

        if self.record is None:
            raise TargetError(
                f"{self.name} is a bare RAM file, QEMU's monitor (QMP) is not known",
                hint="stop and continue the guest by its own monitor",
            )
        held = self.lab.stillness()
        if held is not None and self.name in held.monitors:
            return contextlib.nullcontext(held.monitors[self.name])
        return monitor(self.record)
