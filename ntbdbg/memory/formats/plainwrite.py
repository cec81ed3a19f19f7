# SPDX-License-Identifier: MIT
"""Writes dumps whose memory is not compressed: ELF vmcores, LiME, raw images.

Each writer gives the size of the file in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ntbdbg.errors import TargetError
from ntbdbg.memory.base import Segment
from ntbdbg.memory.formats import elfformat as elf
from ntbdbg.memory.formats import lime
from ntbdbg.memory.formats.content import Content, Mapped, Tell, chunks, filled, held
from ntbdbg.memory.formats.notes import build_notes
from ntbdbg.memory.formats.sink import Sink

_ALIGN = 4096
_MAX_RAW = 1 << 46
"""Bytes that a raw image may span: what file systems can hold as one sparse file."""

_READABLE = 7


def write_elf(content: Content, sink: Sink, tell: Tell) -> int:
    """An ELF vmcore: notes, then the kernel image and all RAM as PT_LOADs, as kdump has them."""
    runs = _runs(content)
    notes = build_notes(content.vcpus, content.vmcoreinfo, content.arch)
    extra = [content.image] if content.image and _run_of(runs, content.image) else []
    count = len(runs) + len(extra) + 1
    many = count >= elf.PN_XNUM
    notes_at = elf.HEADER_SIZE + count * elf.PROGRAM_SIZE + many * elf.SECTION_SIZE
    placed = list(_placed(runs, -(-(notes_at + len(notes)) // _ALIGN) * _ALIGN))
    head = bytearray(_header(content.arch.elf_machine, count, many))
    head += elf.ProgramHeader(elf.PT_NOTE, 0, notes_at, 0, 0, len(notes), len(notes), 4).build()
    images = [_image(placed, image) for image in extra]
    head += b"".join(program.build() for program in (*images, *_loads(content, placed)))
    if many:
        head += elf.build_section(count)
    sink.write(0, head + notes)
    return _copy(content, placed, sink, tell)


def write_lime(content: Content, sink: Sink, tell: Tell) -> int:
    """A LiME dump: each run of RAM behind a header."""
    placed: list[Segment] = []
    at = 0
    for run in _runs(content):
        placed.append(Segment(run.start, run.size, at + lime.HEADER_SIZE))
        at += lime.HEADER_SIZE + run.size
    return _copy(content, placed, sink, tell, _lime_header)


def write_raw(content: Content, sink: Sink, tell: Tell) -> int:
    """Every byte at the offset that is its guest-physical address."""
    runs = _runs(content)
    if runs[-1].end > _MAX_RAW:
        raise TargetError(
            f"{content.memory.name}: RAM at {runs[-1].start:#x} is too far up for a raw image",
            hint="--format elf has no such limit",
        )
    placed = [Segment(run.start, run.size, run.start) for run in runs]
    return _copy(content, placed, sink, tell)


def _runs(content: Content) -> list[Segment]:
    """RAM without regard to where it lies in its backing."""
    return [Segment(run.start, run.size, 0) for run in content.memory.segments.runs()]


def _placed(runs: Sequence[Segment], at: int) -> Iterator[Segment]:
    for run in runs:
        yield Segment(run.start, run.size, at)
        at += -(-run.size // _ALIGN) * _ALIGN


def _run_of(runs: Sequence[Segment], image: Mapped) -> Segment | None:
    inside = (r for r in runs if r.start <= image.physical and image.physical + image.size <= r.end)
    return next(inside, None)


def _header(machine: int, count: int, many: bool) -> bytes:
    ident = elf.MAGIC + bytes([elf.CLASS64, elf.LITTLE_ENDIAN, elf.VERSION])
    table_end = elf.HEADER_SIZE + count * elf.PROGRAM_SIZE
    return elf.Header(
        ident=ident,
        type=elf.ET_CORE,
        machine=machine,
        version=elf.VERSION,
        entry=0,
        phoff=elf.HEADER_SIZE,
        shoff=table_end if many else 0,
        flags=0,
        ehsize=elf.HEADER_SIZE,
        phentsize=elf.PROGRAM_SIZE,
        phnum=elf.PN_XNUM if many else count,
        shentsize=elf.SECTION_SIZE if many else 0,
        shnum=1 if many else 0,
        shstrndx=0,
    ).build()


def _image(placed: Sequence[Segment], image: Mapped) -> elf.ProgramHeader:
    """The kernel image once more, by the addresses it was linked for; it shares RAM's bytes."""
    run = _run_of(placed, image)
    assert run is not None
    offset = run.offset + image.physical - run.start
    return _load(offset, image.virtual, image.physical, image.size)


def _loads(content: Content, placed: Sequence[Segment]) -> Iterator[elf.ProgramHeader]:
    for run in placed:
        virtual = 0 if content.direct_map is None else content.direct_map + run.start
        yield _load(run.offset, virtual & (1 << 64) - 1, run.start, run.size)


def _load(offset: int, virtual: int, physical: int, size: int) -> elf.ProgramHeader:
    return elf.ProgramHeader(elf.PT_LOAD, _READABLE, offset, virtual, physical, size, size, 0)


def _lime_header(segment: Segment) -> tuple[int, bytes]:
    header = lime.RangeHeader(lime.MAGIC, lime.VERSION, segment.start, segment.end - 1)
    return segment.offset - lime.HEADER_SIZE, header.build()


def _copy(
    content: Content,
    placed: Sequence[Segment],
    sink: Sink,
    tell: Tell,
    header: Callable[[Segment], tuple[int, bytes]] | None = None,
) -> int:
    """Write all RAM to where it is placed, each run behind its header if it has one."""
    done, total = 0, held(content.memory)
    for segment in placed:
        if header:
            sink.write(*header(segment))
        for address, data in chunks(content.memory, segment.range):
            for at, block in filled(data):
                sink.write(segment.offset + address - segment.start + at, block)
            done += len(data)
            tell(done, total)
    size = placed[-1].offset + placed[-1].size
    sink.finish(size)
    return size
