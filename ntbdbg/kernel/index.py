# SPDX-License-Identifier: MIT
"""A kernel's symbols and types, from what was kept of an earlier command or made anew."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from hashlib import blake2b
from typing import TYPE_CHECKING

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf import Btf
from ntbdbg.kernel.cache import DIGEST, Entry, KernelCache
from ntbdbg.kernel.kallsyms import Kallsyms, load_kallsyms, read_tables
from ntbdbg.kernel.symbols import IMAGE_START, SymbolTable

if TYPE_CHECKING:
    from ntbdbg.kernel.vmcoreinfo import Vmcoreinfo
    from ntbdbg.memory.base import PhysicalMemory

_HEAD = struct.Struct("<QQ")  # size of the compressed names in RAM, number of symbols
MASK = (1 << 64) - 1

MOST_OFFSET = 1 << 31
"""KASLR moves a kernel by less than ``KERNEL_IMAGE_SIZE``, which is 1 GiB."""


def symbol_table(
    virtual: PhysicalMemory, info: Vmcoreinfo, cache: KernelCache | None
) -> SymbolTable:
    """The symbols of vmlinux; errors as `load_kallsyms`."""
    entry = cache.load("symbols") if cache else None
    known = _kept_symbols(virtual, info, entry) if entry else None
    if known is not None:
        return known
    made = load_kallsyms(virtual, info)
    table = SymbolTable(made.addresses, made.names)
    if cache is not None and 0 <= info.kernel_offset < MOST_OFFSET:
        cache.store("symbols", _pack(table, made, info))
    return table


def types(raw: bytes, cache: KernelCache | None) -> Btf:
    """The BTF of vmlinux; errors as `Btf.parse`."""
    source = blake2b(raw, digest_size=DIGEST).digest()
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


def _pack(table: SymbolTable, made: Kallsyms, info: Vmcoreinfo) -> Entry:
    """Addresses as without KASLR, and names."""
    head = _HEAD.pack(len(made.tables.names), len(table))
    addresses = _moved(table.addresses, -info.kernel_offset)
    text = "\n".join(table.names).encode("latin-1")
    return Entry(made.tables.digest(info), head + addresses.tobytes() + text)


def _kept_symbols(virtual: PhysicalMemory, info: Vmcoreinfo, entry: Entry) -> SymbolTable | None:
    """The table in `entry`, if it was made from the very tables that are in RAM."""
    if len(entry.data) < _HEAD.size:
        return None
    names_size, count = _HEAD.unpack_from(entry.data)
    tables = read_tables(virtual, info, names_size)
    if tables is None or tables.digest(info) != entry.source:
        return None
    end = _HEAD.size + 8 * count
    if len(entry.data) < end:
        return None
    addresses = array("Q", entry.data[_HEAD.size : end])
    names = entry.data[end:].decode("latin-1").split("\n")
    if not len(addresses) == len(names) == count:
        return None
    return SymbolTable(_moved(addresses, info.kernel_offset), names)


def _moved(addresses: array[int], distance: int) -> array[int]:
    """The symbols of the image moved; those that are no addresses stay."""
    first = bisect_left(addresses, IMAGE_START)
    moved = array("Q", [address + distance & MASK for address in addresses[first:]])
    return addresses[:first] + moved
