# SPDX-License-Identifier: MIT
"""The symbol table a Linux kernel carries in its own read-only data (``CONFIG_KALLSYMS``).

Names are compressed by a table of 256 tokens, addresses are 32-bit offsets; kernel
``scripts/kallsyms.c`` writes the tables, ``kernel/kallsyms.c`` reads them, and since 6.0
VMCOREINFO says where they are.

Decoded here, not by drgn: its C code reads the tables byte by byte through our callback, which
takes longer than all of this, and believes every length it finds there. Here each is bounded.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.mmu.virtual import read_some

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

MOST_SYMBOLS = 1 << 21
"""Distribution kernels have 100,000 to 250,000."""

MOST_NAME_BYTES = 64 << 20
"""Compressed, and expanded; real ones are 2 and 5 MiB."""

LONGEST_NAME = 1024
"""Characters; ``KSYM_NAME_LEN`` is 512."""

MASK = (1 << 64) - 1
LONGEST_ENTRY = (1 << 14) + 2
CHUNK = 1 << 16

NEEDED = ("num_syms", "names", "token_table", "token_index", "offsets")


class Tables(NamedTuple):
    """A copy of the compressed tables, so that what was checked is what is decoded.

    :ivar names: compressed, of `count` symbols
    :ivar offsets: 32-bit words
    :ivar offsets_address: VA where they are
    :ivar base: what they count from, None if a kernel has no such thing
    """

    count: int  # type: ignore[assignment]
    names: bytes
    tokens: list[str]
    offsets: bytes
    offsets_address: int
    base: int | None

    def digest(self, info: Vmcoreinfo) -> bytes:
        """What tells these tables from any others, wherever KASLR put them."""
        shift = info.kernel_offset
        places = (self.base, self.offsets_address, info.symbol("_stext"))
        moved = [None if place is None else place - shift & MASK for place in places]
        made = sha256(repr((self.count, moved, self.tokens)).encode())
        made.update(self.names)
        made.update(self.offsets)
        return made.digest()


class Kallsyms(NamedTuple):
    """All symbols of vmlinux, in the kernel's order.

    :ivar addresses: of each symbol
    :ivar names: of each, after the letter that ``nm`` would show: ``Tstart_kernel``
    :ivar tables: what they were decoded from
    """

    addresses: array[int]
    names: list[str]
    tables: Tables


def needed_symbols(info: Vmcoreinfo) -> dict[str, int]:
    """Where the tables are; raises KernelError if VMCOREINFO does not say so."""
    found = {name: info.symbol(f"kallsyms_{name}") for name in NEEDED}
    missing = [f"kallsyms_{name}" for name, address in found.items() if address is None]
    if missing:
        raise KernelError(
            f"Linux {info.release} does not say in VMCOREINFO where its symbols are "
            f"(no {', '.join(missing)})",
            hint="kernels since 6.0 with CONFIG_KALLSYMS do; for this one give its vmlinux with "
            "debug information: --symbols FILE",
        )
    return {name: address for name, address in found.items() if address is not None}


def load_kallsyms(memory: PhysicalMemory, info: Vmcoreinfo, budget: Budget) -> Kallsyms:
    """Decode the symbol table of the kernel that `info` describes.

    :param memory: the guest's memory by VA
    :param budget: what each symbol and its name draw from
    :raises KernelError: VMCOREINFO does not say where, or the tables make no sense
    """
    places = needed_symbols(info)
    stext = info.symbol("_stext")
    problem: KernelError | None = None
    # Since 6.1 a length above 127 takes two bytes; which kernels do so is nowhere written.
    for two_bytes in (True, False):
        try:
            count = _count(memory, places)
            names, spans = _names(memory, places["names"], count, two_bytes)
            budget.take(items=count, bytes=len(names))
            tables = _with_names(memory, info, places, count, names)
            expanded = _expand(tables, spans)
            return Kallsyms(_addresses(tables, expanded, stext), expanded, tables)
        except _Nonsense as error:
            problem = problem or KernelError(
                f"{memory.name}: the symbol table of Linux {info.release} makes no sense: {error}",
                hint="its memory is damaged, or the kernel's tables have a form not known yet; "
                "physical addresses still work",
            )
        except FaultError as error:
            raise KernelError(
                f"the symbol table of Linux {info.release} is not in RAM: {error.message}",
                hint="the dump is incomplete, or page tables are damaged; "
                "physical addresses still work",
            ) from None
    assert problem is not None
    raise problem


class _Nonsense(Exception):
    """The tables contradict themselves."""


def read_tables(memory: PhysicalMemory, info: Vmcoreinfo, names_size: int) -> Tables | None:
    """The tables, if it is known how long the names are; None if there are none like that."""
    try:
        places = needed_symbols(info)
        names = memory.read(places["names"], min(names_size, MOST_NAME_BYTES))
        return _with_names(memory, info, places, _count(memory, places), names)
    except (KernelError, FaultError, _Nonsense):
        return None


def _count(memory: PhysicalMemory, places: dict[str, int]) -> int:
    (count,) = struct.unpack("<I", memory.read(places["num_syms"], 4))
    if not 0 < count <= MOST_SYMBOLS:
        raise _Nonsense(f"it claims {count} symbols")
    return int(count)


def _with_names(
    memory: PhysicalMemory, info: Vmcoreinfo, places: dict[str, int], count: int, names: bytes
) -> Tables:
    base = info.symbol("kallsyms_relative_base")
    return Tables(
        count=count,
        names=names,
        tokens=_tokens(memory, places["token_table"], places["token_index"]),
        offsets=memory.read(places["offsets"], 4 * count),
        offsets_address=places["offsets"],
        base=None if base is None else memory.word(base),
    )


def _names(
    memory: PhysicalMemory, address: int, count: int, two_bytes: bool
) -> tuple[bytes, list[tuple[int, int]]]:
    """The compressed names, and where each one starts and ends among them."""
    data = bytearray()
    spans = []
    at = 0
    try:
        for _ in range(count):
            if at + LONGEST_ENTRY > len(data):
                _grow(data, memory, address, at + LONGEST_ENTRY)
            length = data[at]
            at += 1
            if length & 0x80 and two_bytes:
                length = length & 0x7F | data[at] << 7
                at += 1
            spans.append((at, at + length))
            at += length
    except IndexError:
        at = len(data) + 1
    if at > len(data):
        raise _Nonsense(f"the name of symbol {len(spans)} of {count} is beyond the end")
    return bytes(data[:at]), spans


def _grow(data: bytearray, memory: PhysicalMemory, address: int, size: int) -> None:
    """Read more names, up to `size` or more bytes in all, or to where memory ends."""
    while len(data) < size:
        if len(data) > MOST_NAME_BYTES:
            raise _Nonsense(f"names take more than {MOST_NAME_BYTES >> 20} MiB")
        more = read_some(memory, address + len(data), CHUNK)
        data += more
        if len(more) < CHUNK:
            return


def _tokens(memory: PhysicalMemory, table: int, index: int) -> list[str]:
    starts = struct.unpack("<256H", memory.read(index, 512))
    raw = read_some(memory, table, max(starts) + LONGEST_NAME)
    tokens = []
    for start in starts:
        end = raw.find(b"\0", start, start + LONGEST_NAME)
        if end < 0:
            raise _Nonsense(f"the token at {start:#x} of its table has no end")
        tokens.append(raw[start:end].decode("latin-1"))
    return tokens


def _expand(tables: Tables, spans: list[tuple[int, int]]) -> list[str]:
    expand = tables.tokens.__getitem__
    data = tables.names
    names: list[str] = []
    total = 0
    for start, end in spans:
        name = "".join(map(expand, data[start:end]))
        total += len(name)
        if not 2 <= len(name) <= LONGEST_NAME or total > MOST_NAME_BYTES:
            raise _Nonsense(f"symbol {len(names)} has a name of {len(name) - 1} characters")
        names.append(name)
    return names


def _addresses(tables: Tables, names: list[str], stext: int | None) -> array[int]:
    """Addresses by whichever encoding puts ``_stext`` where VMCOREINFO has it."""
    try:
        index = names.index("T_stext")
    except ValueError:
        raise _Nonsense("there is no _stext among its symbols") from None
    offsets = struct.unpack(f"<{tables.count}i", tables.offsets)
    for decode in _encodings(tables):
        if stext is None or decode(index, offsets[index]) == stext:
            break
    else:
        raise _Nonsense(f"no known encoding puts _stext at {stext:#x}")
    return array("Q", map(decode, range(tables.count), offsets))


def _encodings(tables: Tables) -> list[Callable[[int, int], int]]:
    """Symbol number and offset to address, each way a kernel may have it.

    In a base-relative table offsets are unsigned. Until 6.15 x86-64 had per-CPU symbols at
    their absolute values: those offsets are not negative, and others count down from -1. Since
    7.0 an offset counts from where it is stored.
    """
    base, place = tables.base, tables.offsets_address

    def per_cpu_absolute(_: int, offset: int) -> int:
        return offset if offset >= 0 else base - 1 - offset & MASK  # type: ignore[operator]

    def relative(_: int, offset: int) -> int:
        return base + (offset & 0xFFFF_FFFF) & MASK  # type: ignore[operator]

    def in_place(index: int, offset: int) -> int:
        return place + 4 * index + offset & MASK

    return [in_place] if base is None else [per_cpu_absolute, relative]
