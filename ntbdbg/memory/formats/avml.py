# SPDX-License-Identifier: MIT
"""Compressed dumps of AVML: as LiME's, but each range is a stream of snappy chunks.

Source: microsoft/avml, ``src/image.rs``, version 2: a LiME header with a magic of its own, the
stream, and its length in eight bytes.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from ntbdbg.errors import FormatError, TargetError
from ntbdbg.memory.base import Segment
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.formats.lime import HEADER_SIZE, Damage, RangeHeader
from ntbdbg.memory.formats.snappyframes import IDENTIFIER, chunks
from ntbdbg.memory.framed import FramedFile
from ntbdbg.memory.image import ImageFacts, ImageMemory
from ntbdbg.memory.packed import PackedMemory
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.memory.zstdframes import Sizes

_NAME = b"AVML"
MAGIC = int.from_bytes(_NAME, "little")
VERSION = 2
MOST_PHYSICAL = 1 << 56
"""No machine has memory beyond."""

MOST_CHUNKS = 1 << 23
"""Of 64 KiB: 512 GiB."""

_LENGTH = 8
_CONVERT = "'avml-convert FILE NEW' makes a LiME dump of it, as far as it is whole"


def open_image(path: str, name: str) -> AvmlMemory:
    """The memory in the dump at `path`; errors as `ntbdbg.memory.formats.open_image`."""
    file = CheckedFile(path, name, "AVML dump")
    try:
        index = _Index(file)
        if not index.has_data:
            damage = index.damages[0] if index.damages else Damage(0, "it holds no memory")
            problem = f"is a compressed AVML dump, of which nothing can be read: {damage.problem}"
            raise FormatError(path, damage.offset, problem, hint=_CONVERT)
        return AvmlMemory(file, index, name)
    except BaseException:
        file.close()
        raise


class AvmlMemory(ImageMemory, PackedMemory):
    """Memory in snappy chunks; what a range was cut short of is a fault, as damage is."""

    def __init__(self, file: CheckedFile, index: _Index, name: str) -> None:
        PackedMemory.__init__(self, _Chunks(file, index.sizes), 0, index.segments, name=name)
        self.source = file
        self.facts = ImageFacts("AVML", notes=tuple(map(str, index.damages)))

    def file_offset(self, address: int) -> None:
        """None: it is compressed."""
        return


class _Chunks(FramedFile):
    """The content of all ranges, one behind the other."""

    def __init__(self, file: CheckedFile, sizes: list[Sizes]) -> None:
        super().__init__(file, sizes, _CONVERT)
        self._cramjam = _library()

    def _unpack(self, index: int) -> bytes:
        (start, end), (low, high) = self[index]
        if start == end:
            raise self._damaged(start, "the dump is cut short or damaged before it")
        try:
            chunk = IDENTIFIER + self.file.read(start, end - start)
            data = bytes(self._cramjam.snappy.decompress(chunk))
        except self._cramjam.DecompressionError as error:
            raise self._damaged(start, f"damaged chunk: {error}") from error
        if len(data) != high - low:
            raise self._damaged(start, "damaged chunk: it is too short")
        return data

    def _damaged(self, offset: int, problem: str) -> FormatError:
        return FormatError(self.path, offset, problem, hint=self.hint)


class _Index:
    """Where everything is.

    :ivar sizes: of chunks and of what lies between; of what is missing, no bytes in the file
    :ivar segments: ranges, by offset in the content
    :ivar damages: what is wrong
    :ivar has_data: whether there is a chunk at all
    """

    def __init__(self, file: CheckedFile) -> None:
        self._file = file
        self.sizes: list[Sizes] = []
        self.segments: list[Segment] = []
        self.damages: list[Damage] = []
        self._at = self._content = self._end = 0
        while self._at < file.size and len(self.sizes) < MOST_CHUNKS and self._add_range():
            pass
        self.has_data = any(size and content for size, content in self.sizes)

    def _add_range(self) -> bool:
        """The range at the current place; False if the next one cannot be found."""
        raw = self._file.read(self._at, min(HEADER_SIZE, self._file.size - self._at))
        header = RangeHeader.parse(raw) if len(raw) == HEADER_SIZE else None
        problem = _problem(header, self._end)
        if header is None or problem:
            self.damages.append(Damage(self._at, problem or ""))
            return False
        self._add(HEADER_SIZE, 0)
        if header.size:
            self.segments.append(Segment(header.first, header.size, self._content))
        self._end = header.first + header.size
        return self._add_chunks(header.size)

    def _add_chunks(self, wanted: int) -> bool:
        end = self._content + wanted
        for size, content in chunks(self._file, self._at, wanted):
            self._add(size, content)
        missing = end - self._content
        if missing:
            words = f"{format_size(missing)} of the range that lies here are cut off or damaged"
            self.damages.append(Damage(self._at, f"{words}, and what follows is not looked at"))
            self._add(0, missing)
            return False
        if not self._is_header(self._at) and self._is_header(self._at + _LENGTH):
            self._add(_LENGTH, 0)
        return True

    def _add(self, size: int, content: int) -> None:
        self.sizes.append((size, content))
        self._at += size
        self._content += content

    def _is_header(self, at: int) -> bool:
        """Whether a header begins there, or the file ends."""
        return (
            at == self._file.size
            or self._file.read(at, min(4, max(0, self._file.size - at))) == _NAME
        )


def _problem(header: RangeHeader | None, end: int) -> str | None:
    """Why it is no header of a range at or behind `end`."""
    if header is None:
        return "its last header is cut short"
    if header.magic != MAGIC:
        return "no AVML header where the next range should begin"
    if header.version != VERSION:
        return f"AVML version {header.version}, only {VERSION} is read"
    if not end <= header.first <= header.last + 1 <= MOST_PHYSICAL:
        return f"a range from {header.first:#x} to {header.last:#x} behind one up to {end:#x}"
    return None


def _library() -> ModuleType:
    try:
        return importlib.import_module("cramjam")
    except ImportError:
        raise TargetError(
            "a compressed AVML dump needs a library for snappy",
            hint="pip install 'ntbdbg[snappy]'; or " + _CONVERT,
        ) from None
