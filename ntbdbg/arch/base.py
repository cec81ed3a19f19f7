# SPDX-License-Identifier: MIT
"""What the rest asks of an architecture, and the small types in which it answers.

Dumps and kernels both ask, so nothing here knows of either: bytes come from callables, and what a
kernel tells of itself is seen through `Facts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from ntbdbg.arch.machines import Machine

MASK = (1 << 64) - 1

Variable = Callable[[str], int | None]
"""The value of an ``unsigned long`` of the kernel by its name; None if it has no such variable."""


class Facts(Protocol):
    """What a kernel tells of itself; see `ntbdbg.kernel.boot.vmcoreinfo.Vmcoreinfo`."""

    def number(self, name: str) -> int | None:
        """A constant or variable, or None."""

    def needed_number(self, name: str) -> int:
        """As `number`; KernelError if it is not told."""


# -- page tables ---------------------------------------------------------------------------


class Level(NamedTuple):
    """One level of page tables.

    :ivar name: as Linux calls it: ``pgd``, ``p4d``, ``pud``, ``pmd`` or ``pte``
    :ivar shift: bits of an address below those that index a table of it
    :ivar bits: that index it
    """

    name: str
    shift: int
    bits: int


class Rights(NamedTuple):
    """What an entry lets those do that come by it; a page can be used so if all its entries do."""

    writable: bool
    user: bool
    executable: bool


class Refused(Exception):
    """An entry leads nowhere: `why`, a clause."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Geometry:
    """The form of one kernel's page tables; what a walk meets most often are constants.

    No dataclass, nor is what follows: making one would take longer than a walk.

    :ivar levels: the lowest first
    :ivar significant: bits of a virtual address that count
    :ivar alike: the lowest of those that all must be the same
    :ivar halves: what they may be: zeros, ones
    :ivar physical: the limit of physical addresses; what a guest tells may be beyond
    :ivar ignored: bits of entries that are looked at by nobody
    :ivar present: the bit without which an entry means nothing
    :ivar to_table: an entry above the lowest level whose bits in the first mask are the second
        leads to another table; any other is a page, or wrong
    :ivar address: bits of an entry that are an address
    :ivar gather: gives the address where its bits are not all in their place, else None
    """

    def __init__(
        self,
        *,
        levels: tuple[Level, ...],
        significant: int,
        alike: int,
        physical: int,
        present: int,
        to_table: tuple[int, int],
        address: int,
        ignored: int = 0,
        halves: tuple[int, ...] = (0, MASK),
        gather: Callable[[int], int] | None = None,
    ) -> None:
        self.levels, self.significant, self.alike = levels, significant, alike
        self.physical, self.present, self.to_table = physical, present, to_table
        self.address, self.ignored, self.halves, self.gather = address, ignored, halves, gather

    def page(self, virtual: int, entry: int, level: int) -> int:
        """GPA of what of `level` the page has that an entry leads to.

        :raises Refused: it leads to none
        """
        raise NotImplementedError

    def flags(self, entry: int, level: int) -> tuple[str, ...]:
        """Names of the bits that are set, as the manual of the architecture has them."""
        raise NotImplementedError

    def rights(self, entry: int, level: int) -> Rights:
        """What an entry allows."""
        raise NotImplementedError


# -- processors ----------------------------------------------------------------------------

Values = Mapping[str, int]
"""Registers of a processor by name."""


class Registers(NamedTuple):
    """Names of those that are asked for.

    :ivar pc: where it is
    :ivar stack: its stack pointer
    :ivar frame: its frame pointer
    :ivar root: which leads to its page tables
    :ivar needed: without these a processor's state is of no use
    """

    pc: str
    stack: str
    frame: str
    root: str
    needed: tuple[str, ...]


class Notes(Protocol):
    """Registers in the notes of dumps, ELF's or kdump's.

    :ivar OWN: name of a further note that QEMU writes of each processor; None if it writes none
    """

    OWN: bytes | None

    def parse_prstatus(self, desc: bytes, /) -> dict[str, int]:
        """Registers of an NT_PRSTATUS note; empty if it is none of this architecture."""

    def build_prstatus(self, registers: Values, cpu: int, /) -> bytes:
        """Its contents for the `cpu`-th processor, from 1 on."""

    def parse_own(self, desc: bytes, /) -> dict[str, int]:
        """Registers of QEMU's own note; empty if it is of another version."""

    def build_own(self, registers: Values, /) -> bytes | None:
        """Its contents; None if too little is known for readers not to be misled."""


# -- all of it -----------------------------------------------------------------------------


class Architecture(Protocol):
    """One architecture.

    :ivar name: as ``uname -m`` and run.json have it
    :ivar elf_machine: ELF's e_machine
    :ivar drgn: member of drgn's ``Architecture``
    :ivar machines: of QEMU, whose rules are known; the first is taken where nothing is said
    :ivar told_by: key of VMCOREINFO that its kernels alone have
    :ivar image: `[start, end)` of virtual addresses in which a kernel's image lies
    :ivar most_moved: KASLR moves it by less bytes
    :ivar direct_maps: `[start, end)` of virtual addresses in which RAM may be mapped in one piece
    :ivar modules: the lowest virtual address of a module
    """

    name: str
    elf_machine: int
    drgn: str
    machines: tuple[Machine, ...]
    told_by: str
    image: tuple[int, int]
    most_moved: int
    direct_maps: tuple[int, int]
    modules: int
    registers: Registers

    @property
    def notes(self) -> Notes:
        """How dumps have its registers."""

    def monitored(self, text: str) -> Iterator[tuple[int, dict[str, int]]]:
        """Number and registers of each processor in QEMU's answer to ``info registers -a``."""

    def geometry(self, facts: Facts) -> Geometry:
        """The form of a kernel's page tables."""

    def image_offset(self, facts: Facts) -> int:
        """What a VA in the image is ahead of its GPA, modulo 2^64; errors as `needed_number`."""

    def direct_map(self, facts: Facts, variable: Variable) -> int:
        """VA of GPA 0 where all RAM is mapped in one piece."""

    def vmemmap(self, facts: Facts, variable: Variable) -> int:
        """VA of the ``struct page`` of page 0."""

    def tables(self, root: int, facts: Facts) -> tuple[int, ...]:
        """Where the top page table may be by the value of register `Registers.root`."""

    def takes_interrupts(self, registers: Values) -> bool | None:
        """Whether a processor does; None if these do not tell."""

    def is_user(self, registers: Values) -> bool:
        """Whether a processor with these registers runs user code."""
