# SPDX-License-Identifier: MIT
"""A kernel's symbols and types, from what was kept of an earlier command or made anew."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from hashlib import sha256
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.image.cache import Entry, KernelCache
from ntbdbg.kernel.symbols.kallsyms import Tables, load_kallsyms, read_tables
from ntbdbg.kernel.symbols.names import Names
from ntbdbg.kernel.symbols.symbols import IMAGE_START, SymbolTable

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

_HEAD = struct.Struct("<QQ")  # size of the compressed names in RAM, number of symbols
_START = array("I").itemsize


def symbol_table(
    virtual: PhysicalMemory, info: Vmcoreinfo, cache: KernelCache | None, budget: Budget
) -> SymbolTable:
    """The symbols of vmlinux; errors as `load_kallsyms`."""
    entry = cache.load("symbols") if cache else None
    known = _kept_symbols(virtual, info, entry) if entry else None
    if known is not None:
        return known
    made = load_kallsyms(virtual, info, budget)
    table = SymbolTable(made.addresses, made.names)
    if cache is not None:
        addresses = table.addresses()
        if _can_be_moved(addresses, info):
            cache.store("symbols", _pack(addresses, table.names, made.tables, info))
    return table


def types(raw: bytes, cache: KernelCache | None) -> Btf:
    """The BTF of vmlinux; errors as `Btf.parse`."""
    source = sha256(raw).digest()
    entry = cache.load("types") if cache else None
    if entry is not None and entry.source == source:
        try:
            return Btf.with_index(raw, entry.data)
        except KernelError:  # of an earlier version of ntbdbg
            pass
    btf = Btf.parse(raw)
    if cache is not None and btf.partial is None:
        cache.store("types", Entry(source, btf.index_bytes()))
    return btf


def _can_be_moved(addresses: list[int], info: Vmcoreinfo) -> bool:
    """Whether addresses stay where images lie, wherever KASLR puts a kernel."""
    image = addresses[bisect_left(addresses, IMAGE_START) :]
    offset = info.kernel_offset
    start, end = info.arch.image
    fits = bool(image) and start <= image[0] - offset and image[-1] - offset < end
    return fits and 0 <= offset < info.arch.most_moved


def _pack(addresses: list[int], names: Names, tables: Tables, info: Vmcoreinfo) -> Entry:
    """Addresses as without KASLR, and names."""
    head = _HEAD.pack(len(tables.names), len(names))
    offset = info.kernel_offset
    places = (each - offset if each >= IMAGE_START else each for each in addresses)
    parts = head, array("Q", places).tobytes(), bytes(names.starts), names.text
    return Entry(tables.digest(info), b"".join(parts))


def _kept_symbols(virtual: PhysicalMemory, info: Vmcoreinfo, entry: Entry) -> SymbolTable | None:
    """The table in `entry`, if it was made from the very tables that are in RAM."""
    if len(entry.data) < _HEAD.size or not 0 <= info.kernel_offset < info.arch.most_moved:
        return None
    names_size, count = _HEAD.unpack_from(entry.data)
    tables = read_tables(virtual, info, names_size)
    if tables is None or tables.digest(info) != entry.source:
        return None
    data = memoryview(entry.data)
    starts_at = _HEAD.size + 8 * count
    text_at = starts_at + _START * (count + 1)
    if len(data) < text_at:
        return None
    addresses = data[_HEAD.size : starts_at].cast("Q")
    names = Names(entry.data, data[starts_at:text_at].cast("I"), text_at)
    return SymbolTable(addresses, names, ordered=True, shift=info.kernel_offset)
