# SPDX-License-Identifier: MIT
"""ELF cores of machines: QEMU's ``dump-guest-memory``, kdump's ``/proc/vmcore``, our exports.

Physical memory is what PT_LOADs say by p_paddr. Bytes beyond p_filesz are zero, which is
what the gABI says; makedumpfile, however, also leaves out filtered pages in this way.
"""

from __future__ import annotations

from collections.abc import Iterator

from ntbdbg.arch.foreign import Foreign, of_elf, refusal
from ntbdbg.arch.known import DEFAULT, by_elf
from ntbdbg.errors import FormatError
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats import elfformat as elf
from ntbdbg.memory.formats.claims import Claims, Settled
from ntbdbg.memory.formats.flattened import FlattenedFile
from ntbdbg.memory.formats.notes import MAX_NOTES, read_notes
from ntbdbg.memory.formats.stored import StoredMemory
from ntbdbg.memory.image import ByteSource, ImageFacts
from ntbdbg.units import ADDRESS_LIMIT, format_size

MAX_PROGRAM_HEADERS = 1 << 18

PHYSICAL_LIMIT = 1 << 56
"""No machine has memory beyond: RISC-V addresses 56 bits, x86-64 and arm64 52."""

_NO_ADDRESS = ADDRESS_LIMIT - 1
"""p_paddr of what has no physical address (/proc/kcore)."""


def open_image(path: str, name: str) -> StoredMemory:
    """The memory in the core at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    file = CheckedFile(path, name, "ELF core")
    try:
        return open_core(file, name)
    except BaseException:
        file.close()
        raise


def open_core(source: ByteSource, name: str) -> StoredMemory:
    """The memory in the core `source`; raises FormatError."""
    header = _header(source)
    programs = [p for p in _programs(source, header) if p.type in (elf.PT_LOAD, elf.PT_NOTE)]
    loads = _memory(source.path, programs)
    absurd = [load for load in loads if load.paddr + load.memsz > PHYSICAL_LIMIT]
    claims = Claims(source)
    for load in loads:
        if load.paddr + load.memsz <= PHYSICAL_LIMIT:
            claims.add(load.paddr, load.memsz, load.offset, load.filesz)
    settled = claims.settle()
    if not settled.stored:
        reason = _absurdity(absurd) if absurd else "is an ELF core that holds no physical memory"
        raise _bad(source, None, reason)
    data, whole = _note_data(source, programs)
    facts = read_notes(data, by_elf(header.machine) or DEFAULT)
    notes = tuple(_remarks(source, settled, absurd, whole))
    return StoredMemory(source, settled, name, ImageFacts("ELF core", *facts, notes))


def _header(source: ByteSource) -> elf.Header:
    if source.size < elf.HEADER_SIZE:
        raise _bad(source, source.size, "ends within the ELF header")
    header = elf.Header.parse(source.read(0, elf.HEADER_SIZE))
    if header.ident[4] != elf.CLASS64 or header.ident[5] != elf.LITTLE_ENDIAN:
        raise _bad(source, 4, "is no 64-bit little-endian ELF file, and only those are read")
    if header.type != elf.ET_CORE:
        raise FormatError(
            source.path,
            16,
            f"is an ELF file of type {header.type}, no core (4)",
            hint="give a guest's memory; a vmlinux with debug information goes with --symbols",
        )
    foreign = of_elf(header.machine)
    if foreign:
        raise refusal(source.path, Foreign(foreign, f"ELF's e_machine {header.machine}"))
    return header


def _programs(source: ByteSource, header: elf.Header) -> Iterator[elf.ProgramHeader]:
    count = header.phnum
    if count == elf.PN_XNUM:
        count = _extended_count(source, header)
    if header.phentsize != elf.PROGRAM_SIZE and count:
        raise _bad(source, 54, f"has program headers of {header.phentsize} bytes, 56 are usual")
    if count > MAX_PROGRAM_HEADERS:
        raise _bad(source, 56, f"claims {count} program headers, {MAX_PROGRAM_HEADERS} are read")
    size = count * elf.PROGRAM_SIZE
    if header.phoff + size > source.size:
        raise _bad(source, 32, f"claims {count} program headers at {header.phoff:#x}, its end")
    return elf.ProgramHeader.parse_table(source.read(header.phoff, size))


def _extended_count(source: ByteSource, header: elf.Header) -> int:
    if header.shoff + elf.SECTION_SIZE > source.size or not header.shoff:
        raise _bad(source, 40, "has more than 65534 program headers, but no section that counts")
    return elf.section_info(source.read(header.shoff, elf.SECTION_SIZE))


def _memory(path: str, programs: list[elf.ProgramHeader]) -> list[elf.ProgramHeader]:
    """PT_LOADs with a physical address."""
    loads = [p for p in programs if p.type == elf.PT_LOAD and p.memsz and p.paddr != _NO_ADDRESS]
    if len(loads) > 1 and not any(load.paddr for load in loads):
        raise FormatError(
            path,
            None,
            "is the core of a process, not of a machine: all its segments claim address 0",
            hint="'gdb -c' opens cores of processes",
        )
    return loads


def _absurdity(absurd: list[elf.ProgramHeader]) -> str:
    first = absurd[0]
    which = "a PT_LOAD that" if len(absurd) == 1 else f"{len(absurd)} PT_LOADs, the first of which"
    return (
        f"has {which} claims {first.memsz:#x} bytes of memory at {first.paddr:#x}, "
        "where no machine has any"
    )


def _note_data(source: ByteSource, programs: list[elf.ProgramHeader]) -> tuple[bytes, bool]:
    """Contents of the note segments, and whether that is all of them."""
    parts: list[bytes] = []
    room, wanted = MAX_NOTES, 0
    for program in programs:
        if program.type == elf.PT_NOTE:
            size = max(0, min(program.filesz, room, source.size - program.offset))
            if size:
                parts.append(source.read(program.offset, size))
            room -= size
            wanted += program.filesz
    return b"".join(parts), room == MAX_NOTES - wanted


def _remarks(
    source: ByteSource, settled: Settled, absurd: list[elf.ProgramHeader], whole_notes: bool
) -> Iterator[str]:
    if isinstance(source, FlattenedFile) and source.truncated:
        yield "the file is truncated: its end mark is missing"
    yield from settled.remarks()
    if absurd:
        yield f"it {_absurdity(absurd)}; that was passed over"
    if settled.zeros:
        size = format_size(sum(part.size for part in settled.zeros))
        yield f"{size} are not in the file and read as zeros; makedumpfile may have left them out"
    if not whole_notes:
        yield "not all of its notes were read: too large, or beyond the end of the file"


def _bad(source: ByteSource, offset: int | None, reason: str) -> FormatError:
    return FormatError(source.path, offset, reason, hint="was it copied as a whole?")
