# SPDX-License-Identifier: MIT
"""Where an address expression leads, and what those who go there know of guest and lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.lab.address import AddressExpr, Window
from ntbdbg.lab.record import Record

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.journals import Journals
    from ntbdbg.lab.manifest import GuestRecord, LinkRecord, Manifest
    from ntbdbg.lab.options import BudgetOf
    from ntbdbg.lab.preserved import Preserved
    from ntbdbg.lab.qmp import Qmp
    from ntbdbg.lab.standstill import Standstill
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.ntb.model import Link
    from ntbdbg.ntb.sharedpage import SharedPage

Address = AddressExpr | str | int


class Place(Record):
    """Where an address expression leads.

    :ivar guest: whose memory it is: another guest's, if it went through a window
    :ivar address: in `memory`
    :ivar memory: what to read there: the guest's physical memory, or its kernel's virtual one
    :ivar via: the window it went through, ``qemu1:mw0+0x40``, or None
    :ivar size: bytes from there on that belong to what was named, None if nobody knows
    :ivar symbol: what was named: ``init_task.comm``; None for a number or a window
    """

    guest: GuestLike
    address: int
    memory: PhysicalMemory
    via: str | None = None
    size: int | None = None
    symbol: str | None = None

    @property
    def is_virtual(self) -> bool:
        """Whether `address` is a kernel virtual address."""
        return self.memory is not self.guest.memory


if TYPE_CHECKING:
    # Nobody asks for them while a command runs, and they would take their time at its start.

    class GuestLike(Protocol):
        """A guest, as those see it that its own class stands on; see `ntbdbg.lab.guest.Guest`."""

        name: str
        stale: str | None
        is_assumed: bool

        @property
        def memory(self) -> PhysicalMemory: ...
        @property
        def record(self) -> GuestRecord | None: ...
        @property
        def lab(self) -> LabLike: ...
        @property
        def is_live(self) -> bool: ...
        @property
        def kernel(self) -> Kernel: ...
        @property
        def partition(self) -> int: ...
        def owner(self, expr: AddressExpr) -> GuestLike: ...
        def resolve(self, address: Address, size: int = 1) -> Place: ...
        def window_target(self, window: Window, offset: int, size: int = 1) -> Place: ...
        def qmp(self) -> AbstractContextManager[Qmp]: ...

    class LabLike(Protocol):
        """A lab, as its guests see it; `ntbdbg.lab.lab.Lab` is one."""

        @property
        def name(self) -> str | None: ...
        @property
        def names(self) -> tuple[str, ...]: ...
        @property
        def prefix(self) -> str: ...
        @property
        def how(self) -> str: ...
        @property
        def manifest(self) -> Manifest | None: ...
        @property
        def link(self) -> LinkRecord | None: ...
        @property
        def folder(self) -> Path | None: ...
        @property
        def owners(self) -> tuple[int, ...] | None: ...
        @property
        def capture(self) -> Preserved | None: ...
        @property
        def is_launched(self) -> bool: ...
        @property
        def symbols(self) -> str | None: ...
        @property
        def which_kernel(self) -> int | None: ...
        @property
        def budget(self) -> BudgetOf: ...
        @property
        def journals(self) -> Journals: ...
        def guest(self, name: str) -> GuestLike: ...
        def guest_of_partition(self, partition: int) -> GuestLike: ...
        def read_link(self) -> Link: ...
        def page(self) -> SharedPage: ...
        def note(self, text: str) -> None: ...
        def refuse_capture(self, doing: str) -> None: ...
        def refuse_unallowed(self, what: str) -> None: ...
        def stillness(self) -> Standstill | None: ...
