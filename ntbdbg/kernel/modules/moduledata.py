# SPDX-License-Identifier: MIT
"""What a module brought along: its symbols and its build id."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.mmu.virtual import read_some
from ntbdbg.kernel.symbols.symbols import SymbolTable

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.kernel.btf.layout import Layouts, Record
    from ntbdbg.kernel.modules.modules import Module
    from ntbdbg.memory.base import PhysicalMemory

MOST_SYMBOLS = 1 << 18
MOST_STRING_BYTES = 16 << 20
LONGEST_NAME = 1024
MOST_NOTES = 64
MOST_NOTE_BYTES = 4096

_BUILD_ID = re.compile(rb"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0(.{20})", re.DOTALL)
"""A note: sizes of name and content, NT_GNU_BUILD_ID, both."""

_ELF_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size


def module_symbols(
    virtual: PhysicalMemory, layouts: Layouts, module: Module, budget: Budget
) -> SymbolTable:
    """The symbols of `module`, from the symbol table the kernel keeps of it.

    :param budget: what each symbol and its name draw from
    :raises KernelError: there is none, or it makes no sense
    """
    try:
        address = module.record.number("kallsyms")
        tables = layouts["mod_kallsyms"].parse(virtual, address)
        return _symbols(virtual, tables, module, budget)
    except FaultError as error:
        raise damaged(module, f"its symbols are not in RAM: {error.message}") from None


def _symbols(
    virtual: PhysicalMemory, tables: Record, module: Module, budget: Budget
) -> SymbolTable:
    count = tables.number("num_symtab")
    if count > MOST_SYMBOLS:
        raise damaged(module, f"it claims {count} symbols")
    budget.take(items=count)
    raw = virtual.read(tables.number("symtab"), count * _ELF_SYMBOL.size)
    rows = [(row[0], row[4], i) for i, row in enumerate(_ELF_SYMBOL.iter_unpack(raw)) if row[3]]
    strings = _strings(virtual, module, tables.number("strtab"), max(rows, default=(0,))[0])
    budget.take(bytes=len(strings))
    letters = (
        virtual.read(tables.number("typetab"), count) if tables.has("typetab") else b"?" * count
    )
    addresses, names, total = array("Q"), [], 0
    for name, value, index in rows:
        end = strings.find(b"\0", name, name + LONGEST_NAME)
        if end < 0:
            raise damaged(module, f"the name of symbol {index} has no end")
        total += end - name
        if total > MOST_STRING_BYTES:
            raise damaged(module, f"its names take more than {MOST_STRING_BYTES} bytes")
        if end > name:
            addresses.append(value)
            text = strings[name:end].decode("utf-8", "backslashreplace")
            names.append(chr(letters[index]) + text)
    last = max(addresses, default=0)
    end = next((region.end for region in module.regions if last in region), 0)
    return SymbolTable(addresses, names, module=module.name, end=end)


def _strings(virtual: PhysicalMemory, module: Module, start: int, last: int) -> bytes:
    """The names, the last of which begins at `last`."""
    if last > MOST_STRING_BYTES:
        raise damaged(module, f"a name begins {last} bytes into its names")
    return read_some(virtual, start, last + LONGEST_NAME)


def damaged(module: Module, why: str) -> KernelError:
    return KernelError(
        f"module {module.name}: {why}",
        hint="it is being loaded or unloaded, or its memory is damaged",
    )


def module_build_id(virtual: PhysicalMemory, layouts: Layouts, module: Module) -> str | None:
    """The GNU build id of `module` in hexadecimal, None if the kernel does not keep it.

    It is in the module's ``.note.gnu.build-id``, which sysfs shows and so the kernel finds
    (``kernel/module/sysfs.c``); a ``build_id`` of its own is rare (CONFIG_STACKTRACE_BUILD_ID).
    """
    try:
        if module.record.has("build_id"):
            return module.record.bytes("build_id").hex()
        for address, size in _notes(virtual, layouts, module):
            found = _BUILD_ID.match(virtual.read(address, min(size, MOST_NOTE_BYTES)))
            if found:
                return found[1].hex()
    except (FaultError, KernelError):
        pass
    return None


def _notes(virtual: PhysicalMemory, layouts: Layouts, module: Module) -> Iterator[tuple[int, int]]:
    """VA and size of each section of notes."""
    pointer = module.record.number("notes_attrs")
    if not pointer:
        return
    head = layouts["module_notes_attrs"].parse(virtual, pointer)
    attribute = layouts["bin_attribute"]
    for address in _attributes(virtual, head, attribute.size):
        one = attribute.parse(virtual, address)
        yield one.number("private"), one.number("size")


def _attributes(virtual: PhysicalMemory, head: Record, size: int) -> Iterator[int]:
    """VA of each ``struct bin_attribute``, of `size` bytes."""
    if head.has("notes"):
        count = min(head.number("notes"), MOST_NOTES)
        yield from (head.at("attrs") + index * size for index in range(count))
        return
    # Since 6.14 the number is not kept; a null pointer ends the array of pointers to them.
    pointers = head.number("grp.bin_attrs")
    for index in range(MOST_NOTES):
        address = virtual.word(pointers + 8 * index)
        if not address:
            return
        yield address
