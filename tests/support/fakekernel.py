# SPDX-License-Identifier: MIT
"""A guest with a Linux in it that never ran: RAM that ntbdbg and drgn take for a real guest's.

    guest = FakeGuest()                                       # 16 MiB, KASLR, 4 page table levels
    guest.types.declare("struct job { int id; char name[8]; };")
    first = guest.variable("first_job", "struct job", id=7)    # in .data, with a symbol
    other = guest.new("struct job", name=b"x")                 # on the heap, in the direct map
    memory = guest.memory                                      # PhysicalMemory, complete

In the RAM are page tables, the VMCOREINFO note and its source, kallsyms, BTF, `init_uts_ns`,
`linux_banner`, per-CPU areas. Tasks, modules, printk and PCI come from `fakelinux`, which builds
on this. Everything is written where a real kernel has it, so nothing above needs a special case.

Corrupting: `memory` shows `guest.space.data`, so what is changed there afterwards is seen:

    first["id"] = 1 << 30                    # a member, by path
    guest.space.poke(gpa, b"…")              # by guest-physical address
    guest.space.write(va, b"…")              # by virtual address
    guest.tables["kallsyms_num_syms"]        # VA of each table, to aim at
"""

from __future__ import annotations

import struct
from pathlib import Path

from ntbdbg.memory import BufferMemory
from tests.support.cdecl import CType, CTypes, Member
from tests.support.fakebtf import BtfBuilder
from tests.support.fakekallsyms import FakeSymbol, kallsyms
from tests.support.fakespace import MIB, PAGE, FakeSpace

KERNEL_MAP = 0xFFFF_FFFF_8000_0000
"""__START_KERNEL_map: kernel text is mapped above it."""

LINK_BASE = KERNEL_MAP + 16 * MIB
"""Where vmlinux is linked: _text without KASLR."""

DIRECT_MAP = {4: 0xFFFF_8880_0000_0000, 5: 0xFF11_0000_0000_0000}
VMALLOC = {4: 0xFFFF_C900_0000_0000, 5: 0xFFA0_0000_0000_0000}
MODULES = 0xFFFF_FFFF_C000_0000
RELEASE = "6.1.0-56-amd64"
BANNER = (
    "Linux version {} (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, "
    "GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-10-01)\n"
)
PER_CPU_SIZE = 0x8000

UTS = """
struct list_head { struct list_head *next, *prev; };
struct new_utsname {
    char sysname[65]; char nodename[65]; char release[65]; char version[65];
    char machine[65]; char domainname[65];
};
struct uts_namespace { struct new_utsname name; void *user_ns; };
"""


class FakeStruct:
    """An object in the guest; members are read and written by path: ``task["tasks.next"] = va``.

    Values: int, bytes (the rest of the field is zeroed), another FakeStruct (its address).
    """

    def __init__(self, space: FakeSpace, kind: CType, address: int) -> None:
        self.space = space
        self.kind = kind
        self.address = address

    def at(self, path: str) -> int:
        """Virtual address of a member."""
        return self.address + self.kind.find(path)[0]

    def sub(self, path: str) -> FakeStruct:
        """A member that is a structure itself."""
        offset, kind = self.kind.find(path)
        return FakeStruct(self.space, kind, self.address + offset)

    def set(self, /, **members: object) -> None:
        """Several members at once."""
        for name, value in members.items():
            self[name] = value

    def empty_list(self, path: str) -> None:
        """``INIT_LIST_HEAD``."""
        dot = f"{path}." if path else ""
        self[f"{dot}next"] = self[f"{dot}prev"] = self.at(path)

    def append(self, path: str, entry: FakeStruct, node: str) -> None:
        """``list_add_tail``: put member `node` of `entry` at the end of our list `path`."""
        last = self[f"{path}.prev"]
        entry[f"{node}.next"], entry[f"{node}.prev"] = self.at(path), last
        self.space.write(last, entry.at(node).to_bytes(8, "little"))
        self[f"{path}.prev"] = entry.at(node)

    def __setitem__(self, path: str, value: object) -> None:
        offset, kind, member = self.kind.locate(path)
        if isinstance(value, FakeStruct):
            value = value.address
        if isinstance(value, bytes):
            assert len(value) <= kind.size, f"{path} holds {kind.size} bytes"
            self.space.write(self.address + offset, value.ljust(kind.size, b"\0"))
            return
        assert isinstance(value, int), f"{path}: {value!r}"
        if member is not None and member.bits:
            old = self._word(offset, kind.size)
            mask = (1 << member.bits) - 1 << member.bit_offset
            value = old & ~mask | value << member.bit_offset & mask
        number = value & (1 << 8 * kind.size) - 1
        self.space.write(self.address + offset, number.to_bytes(kind.size, "little"))

    def __getitem__(self, path: str) -> int:
        offset, kind, member = self.kind.locate(path)
        value = self._word(offset, kind.size)
        if member is not None and member.bits:
            return value >> member.bit_offset & (1 << member.bits) - 1
        return value

    def bytes(self, path: str = "") -> bytes:
        """The raw content of a member, or of all."""
        offset, kind = self.kind.find(path)
        return self.space.read(self.address + offset, kind.size)

    def _word(self, offset: int, size: int) -> int:
        return int.from_bytes(self.space.read(self.address + offset, size), "little")


class FakeGuest:
    """RAM, address space, symbols, types; see the module's text.

    :param ram: bytes of RAM, from 0 on without a hole
    :param levels: of the page tables
    :param kaslr: how far the kernel is from where it was linked; a multiple of 2 MiB
    :param phys: GPA of _text; a multiple of 2 MiB
    :param cpus: CPUs with a per-CPU area
    :param absolute_percpu: kallsyms as before Linux 6.15 (see `kallsyms`)
    :param btf: whether BTF is there
    :param pool: GPA of its page tables
    :ivar symbols: name → VA of everything that kallsyms will list
    :ivar omit: symbols that VMCOREINFO does not mention (``kallsyms_names``: as before Linux 6.0)
    :ivar hidden: symbols that kallsyms does not list (variables, without CONFIG_KALLSYMS_ALL)
    :ivar extra: further lines of VMCOREINFO
    :ivar twins: further structures of vmlinux, by name and size, each with an ``int twin``
    """

    def __init__(
        self,
        *,
        ram: int = 16 * MIB,
        levels: int = 4,
        kaslr: int = 0x1C00_0000,
        phys: int = 2 * MIB,
        cpus: int = 2,
        release: str = RELEASE,
        absolute_percpu: bool = True,
        btf: bool = True,
        pool: int = MIB,
    ) -> None:
        self.space = FakeSpace(ram, levels=levels, pool=pool)
        self.types = CTypes()
        self.symbols: dict[str, int] = {}
        self.tables: dict[str, int] = {}
        self.omit: set[str] = set()
        self.hidden: set[str] = set()
        self.extra: list[str] = []
        self.twins: list[tuple[str, int]] = []
        self.build_id = "5a" * 20
        self.kaslr = kaslr
        self.cpus = cpus
        self.release = release
        self.base = LINK_BASE + kaslr
        self.phys_base = phys - (self.base - KERNEL_MAP)
        self.direct_map = DIRECT_MAP[levels]
        self._kinds: dict[str, str] = {}
        self._percpu_types: dict[str, CType] = {}
        self._absolute_percpu = absolute_percpu
        self._btf = btf
        self._memory: BufferMemory | None = None
        image = 2 * MIB
        self._text, self._data, self._image_end = self.base, self.base + MIB // 2, self.base + image
        self._heap = phys + image
        self._vmalloc, self._modules = VMALLOC[levels], MODULES
        self._percpu = 0
        self.space.map(self.base, phys, image)
        self.space.map(self.direct_map, 0, ram)
        self._boot()

    # What is in the kernel

    def function(self, name: str, size: int = 16, *, kind: str = "t") -> int:
        """A function of `size` bytes; gives its VA."""
        self._text, va = _next(self._text, size, 16)
        assert self._text <= self.base + MIB // 2, "the text is full"
        return self.symbol(name, va, kind)

    def data(self, name: str, content: bytes | int, *, kind: str = "d", align: int = 8) -> int:
        """A variable with this content, or of this many zero bytes; gives its VA."""
        raw = bytes(content)
        self._data, va = _next(self._data, len(raw), align)
        assert self._data <= self._image_end, "the data section is full"
        self.space.write(va, raw)
        return self.symbol(name, va, kind)

    def variable(self, name: str, kind: str, /, **members: object) -> FakeStruct:
        """A global variable of a declared type."""
        return self._struct(self.data(name, self.types[kind].size, align=64), kind, members)

    def number(self, name: str, value: int, kind: str = "unsigned long") -> int:
        """A global integer; gives its VA."""
        size = self.types[kind].size
        return self.data(name, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def new(self, kind: str, /, **members: object) -> FakeStruct:
        """An object on the heap (the direct map), as by kmalloc."""
        return self._struct(self.alloc(self.types[kind].size), kind, members)

    def alloc(self, size: int, *, align: int = 64) -> int:
        """Zeroed bytes on the heap; gives their VA in the direct map."""
        self._heap, gpa = _next(self._heap, size, align)
        assert self._heap <= len(self.space.data), "the RAM is full"
        return self.direct_map + gpa

    def text(self, text: str) -> int:
        """A string on the heap, with its NUL; gives its VA."""
        va = self.alloc(len(text.encode()) + 1, align=8)
        self.space.write(va, text.encode())
        return va

    def vmalloc(self, size: int, *, scattered: bool = True, modules: bool = False) -> int:
        """Pages mapped one by one, with an unmapped page behind; gives their VA.

        :param scattered: no two neighbours are neighbours in RAM
        :param modules: in the modules' area
        """
        pages = -(-size // PAGE)
        gpa = self.physical(self.alloc(pages * PAGE, align=PAGE))
        order = [*range(1, pages, 2), *range(0, pages, 2)] if scattered else list(range(pages))
        va = self._modules if modules else self._vmalloc
        for index, page in enumerate(order):
            self.space.map(va + index * PAGE, gpa + page * PAGE, PAGE, page=PAGE)
        after = va + (pages + 1) * PAGE
        if modules:
            self._modules = after
        else:
            self._vmalloc = after
        return va

    def percpu(self, name: str, kind: str, *values: object) -> int:
        """A per-CPU variable, one value per CPU; gives its VA on CPU 0.

        Its symbol is an offset, as on x86-64 before Linux 6.15.
        """
        ctype = self.types[kind]
        self._percpu, offset = _next(self._percpu, ctype.size, ctype.align)
        assert self._percpu <= PER_CPU_SIZE, "the per-CPU areas are full"
        self.symbol(name, offset, "A")
        self._percpu_types[name] = ctype
        for cpu, value in enumerate(values):
            holder = FakeStruct(self.space, _wrap(ctype), self.percpu_areas[cpu] + offset)
            holder["value"] = value
        return self.percpu_areas[0] + offset

    def symbol(self, name: str, va: int, kind: str = "d") -> int:
        """List an address in kallsyms."""
        assert self._memory is None, "the guest is complete"
        self.symbols[name] = va
        self._kinds[name] = kind
        return va

    def at(self, va: int, kind: str) -> FakeStruct:
        """What lies at `va`, seen as `kind`."""
        return FakeStruct(self.space, self.types[kind], va)

    def physical(self, va: int) -> int:
        """The GPA behind a VA."""
        return self.space.translate(va)[0]

    # The finished guest

    @property
    def memory(self) -> BufferMemory:
        """The complete RAM. Later changes of `space` are seen in it; symbols cannot be added."""
        if self._memory is None:
            self._finish()
            self._memory = BufferMemory(self.space.data, name="qemu1")
        return self._memory

    def copy(self) -> BufferMemory:
        """The complete RAM as of now, for a test to destroy."""
        return BufferMemory(bytearray(self.memory.read(0, len(self.space.data))), name="qemu1")

    def save(self, path: Path) -> None:
        """Write the RAM to a file (a FakeLab's `ram_path`), which keeps inode and size."""
        data = self.memory.read(0, len(self.space.data))
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(data)

    def vmcoreinfo(self, **changes: str | None) -> str:
        """The note's text; `changes` replace values, None drops a line."""
        values: dict[str, str | None] = {
            "OSRELEASE": self.release,
            "BUILD-ID": self.build_id,
            "PAGESIZE": "4096",
            **{f"SYMBOL({name})": f"{va:x}" for name, va in self._mentioned().items()},
            "OFFSET(uts_namespace.name)": "0",
            "SIZE(list_head)": "16",
            "OFFSET(list_head.next)": "0",
            "OFFSET(list_head.prev)": "8",
            "NUMBER(phys_base)": str(self.phys_base),
            "SYMBOL(init_top_pgt)": f"{self.symbols['swapper_pg_dir']:x}",
            "NUMBER(pgtable_l5_enabled)": str(int(self.space.levels == 5)),
            "KERNELOFFSET": f"{self.kaslr:x}",
            "NUMBER(KERNEL_IMAGE_SIZE)": str(1 << 30),
            "NUMBER(sme_mask)": "0",
        }
        lines = {**values, **changes}
        text = "".join(f"{key}={value}\n" for key, value in lines.items() if value is not None)
        return text + "".join(f"{line}\n" for line in self.extra)

    def leave_vmcoreinfo(self, text: str) -> int:
        """Put another VMCOREINFO text on a page of its own, as an earlier kernel does; its GPA."""
        va = self.alloc(PAGE, align=PAGE)
        self.space.write(va, text.encode())
        return self.physical(va)

    def _boot(self) -> None:
        self.percpu_areas = [self.alloc(PER_CPU_SIZE, align=PAGE) for _ in range(self.cpus)]
        self.symbol("__per_cpu_start", 0, "A")
        self._percpu = 64
        for name in ("_text", "_stext"):
            self.symbol(name, self.base, "T")
        self.function("startup_64", 64, kind="T")
        self.types.declare(UTS)
        uts = self.variable("init_uts_ns", "struct uts_namespace")
        names = {"sysname": "Linux", "nodename": "qemu1", "release": self.release}
        names |= {"version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1", "machine": "x86_64"}
        for key, value in names.items():
            uts[f"name.{key}"] = value.encode()
        self.data("linux_banner", BANNER.format(self.release).encode() + b"\0", kind="R")
        # The tables lie elsewhere in RAM than the symbol says unless it is in the kernel image.
        va = self.data("swapper_pg_dir", PAGE, kind="D", align=PAGE)
        self.space.move_root(self.physical(va))
        self.number("page_offset_base", self.direct_map)
        self.number("phys_base", self.phys_base)
        self.number("nr_cpu_ids", self.cpus, "unsigned int")
        self.data("__per_cpu_offset", struct.pack(f"<{self.cpus}Q", *self.percpu_areas))
        self.data("__cpu_online_mask", struct.pack("<Q", (1 << self.cpus) - 1))
        self.data("__cpu_possible_mask", struct.pack("<Q", (1 << self.cpus) - 1))

    def _finish(self) -> None:
        self.tables["vmcoreinfo_data"] = self.alloc(PAGE, align=PAGE)
        self.tables["vmcoreinfo_note"] = self.alloc(PAGE, align=PAGE)
        self.number("vmcoreinfo_data", self.tables["vmcoreinfo_data"])
        self.number("vmcoreinfo_note", self.tables["vmcoreinfo_note"])
        if self._btf:
            self._write_btf()
        self.symbol("_etext", self._text, "T")
        self.symbol("_edata", self._data, "D")
        self.symbol("_end", self._image_end, "B")
        self._write_kallsyms()
        text = self.vmcoreinfo().encode()
        assert len(text) < PAGE, "VMCOREINFO is one page"
        header = struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0"
        self.space.write(self.tables["vmcoreinfo_data"], text)
        self.space.write(self.tables["vmcoreinfo_note"], header + text)

    def _write_kallsyms(self) -> None:
        listed: list[FakeSymbol] = sorted(
            (va, self._kinds[name], name)
            for name, va in self.symbols.items()
            if name not in self.hidden
        )
        built = kallsyms(listed, relative_base=self.base, absolute_percpu=self._absolute_percpu)
        for name, content in built.items():
            # They are read-only data of the image, but a kernel does not list them in themselves.
            self._data, va = _next(self._data, len(content), 8)
            assert self._data <= self._image_end, "the data section is full"
            self.space.write(va, content)
            self.tables[name] = va

    def _write_btf(self) -> None:
        self.vmlinux_btf = BtfBuilder()
        self.vmlinux_btf.add(self.types)
        self.vmlinux_btf.twins = self.twins
        percpu = {
            name: (self.symbols[name], kind)
            for name, kind in self._percpu_types.items()
            if name in self.symbols
        }
        va = self.data("__start_BTF", self.vmlinux_btf.write(percpu), kind="R")
        self.symbol("__stop_BTF", self._data, "R")
        self.tables["btf"] = va

    def _mentioned(self) -> dict[str, int]:
        names = ("init_uts_ns", "swapper_pg_dir", "_stext")
        found = {name: self.symbols[name] for name in names} | {
            name: va for name, va in self.tables.items() if name.startswith("kallsyms_")
        }
        return {name: va for name, va in found.items() if name not in self.omit}

    def _struct(self, va: int, kind: str, members: dict[str, object]) -> FakeStruct:
        made = self.at(va, kind)
        made.set(**members)
        return made


def _next(position: int, size: int, align: int) -> tuple[int, int]:
    start = -(-position // align) * align
    return start + size, start


def _wrap(kind: CType) -> CType:
    return CType("struct", members=[Member("value", kind)], size=kind.size)
