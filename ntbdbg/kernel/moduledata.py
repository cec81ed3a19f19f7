# SPDX-License-Identifier: MIT
"""What a module brought along: its symbols, its types, its sections, its build id."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.listing import walk_list
from ntbdbg.kernel.symbols import SymbolTable
from ntbdbg.kernel.virtual import read_some

if TYPE_CHECKING:
    from ntbdbg.kernel.members import Layouts, Record
    from ntbdbg.kernel.modules import Module
    from ntbdbg.memory.base import PhysicalMemory

MOST_SYMBOLS = 1 << 18
MOST_STRING_BYTES = 16 << 20
LONGEST_NAME = 1024
MOST_BTF_BYTES = 32 << 20
MOST_MODULES = 4096

MOST_NOTES = 64
MOST_NOTE_BYTES = 4096

_BUILD_ID = re.compile(rb"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0(.{20})", re.DOTALL)
"""A note: sizes of name and content, NT_GNU_BUILD_ID, both."""

_ELF_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size


def module_symbols(virtual: PhysicalMemory, layouts: Layouts, module: Module) -> SymbolTable:
    """The symbols of `module`, from the symbol table the kernel keeps of it.

    :raises KernelError: there is none, or it makes no sense
    """
    try:
        address = module.record.number("kallsyms")
        tables = layouts["mod_kallsyms"].parse(virtual, address)
        return _symbols(virtual, tables, module)
    except FaultError as error:
        raise _damaged(module, f"its symbols are not in RAM: {error.message}") from None


def _symbols(virtual: PhysicalMemory, tables: Record, module: Module) -> SymbolTable:
    count = tables.number("num_symtab")
    if count > MOST_SYMBOLS:
        raise _damaged(module, f"it claims {count} symbols")
    raw = virtual.read(tables.number("symtab"), count * _ELF_SYMBOL.size)
    rows = [(row[0], row[4], i) for i, row in enumerate(_ELF_SYMBOL.iter_unpack(raw)) if row[3]]
    strings = _strings(virtual, module, tables.number("strtab"), max(rows, default=(0,))[0])
    letters = (
        virtual.read(tables.number("typetab"), count) if tables.has("typetab") else b"?" * count
    )
    addresses, names, total = array("Q"), [], 0
    for name, value, index in rows:
        end = strings.find(b"\0", name, name + LONGEST_NAME)
        if end < 0:
            raise _damaged(module, f"the name of symbol {index} has no end")
        total += end - name
        if total > MOST_STRING_BYTES:
            raise _damaged(module, f"its names take more than {MOST_STRING_BYTES} bytes")
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
        raise _damaged(module, f"a name begins {last} bytes into its names")
    return read_some(virtual, start, last + LONGEST_NAME)


def module_btf(
    virtual: PhysicalMemory, layouts: Layouts, head: int, module: Module
) -> bytes | None:
    """The raw BTF of `module`, None if it has none.

    :param head: VA of the list head ``btf_modules`` (``kernel/bpf/btf.c``)
    :raises KernelError: it makes no sense
    """
    try:
        return _module_btf(virtual, layouts, head, module)
    except FaultError as error:
        raise _damaged(module, f"its types are not in RAM: {error.message}") from None


def _module_btf(
    virtual: PhysicalMemory, layouts: Layouts, head: int, module: Module
) -> bytes | None:
    entry = layouts["btf_module"]
    offset = entry.find("list").offset
    for node in walk_list(virtual, head, MOST_MODULES):
        item = entry.parse(virtual, node - offset)
        if item.number("module") == module.address:
            types = layouts["btf"].parse(virtual, item.number("btf"))
            size = types.number("data_size")
            if size > MOST_BTF_BYTES:
                raise _damaged(module, f"it claims {size} bytes of types")
            return virtual.read(types.number("data"), size)
    return None


def _damaged(module: Module, why: str) -> KernelError:
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
        address = int.from_bytes(virtual.read(pointers + 8 * index, 8), "little")
        if not address:
            return
        yield address
