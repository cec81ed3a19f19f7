# SPDX-License-Identifier: MIT
"""Files of zstd frames with an index at the end: any part is read without unpacking the rest.

`ntbdbg.memory.zstdframes` finds the frames. Every zstd program unpacks such a file as a whole.
"""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.errors import FormatError
from ntbdbg.memory import zstdframes
from ntbdbg.memory.file import CheckedFile

KEPT = 16
"""Unpacked frames that are kept; unlike the bytes of a live guest, they cannot change."""


class Frame(NamedTuple):
    """One frame.

    :ivar packed: where it is in the file, and where it ends
    :ivar content: which part of the content it holds, from and to
    """

    packed: tuple[int, int]
    content: tuple[int, int]


class SeekableFile:
    """The content of the file at `path`, by offset.

    :param owner: whose it is, for messages
    :param walk: go by the frames themselves, as is done where the index is cut off or wrong
    :ivar size: bytes of content that are there
    :ivar rebuilt: why no index was used, None if one was
    :ivar index_problem: which one is damaged though the other was used, None if none is
    :raises TargetError: no such file, no permission
    :raises FormatError: it does not begin with a zstd frame, and has no index either
    """

    def __init__(self, path: str, owner: str, *, walk: bool = False) -> None:
        self.file = CheckedFile(path, owner, "packed file")
        self.path = self.file.path
        table = None if walk else zstdframes.indexed(self.file)
        self.index_problem = None
        if table and zstdframes.is_copy_damaged(self.file, table):
            self.index_problem = "the copy of its index is damaged"
        if not table and not walk:
            table = zstdframes.indexed_by_copy(self.file)
            self.index_problem = "its index is damaged, a copy of it is used" if table else None
        start = self.file.read(0, min(4, self.file.identity.size))
        if start != zstdframes.MAGIC and not table and not walk:
            raise FormatError(path, 0, "is no zstd file", hint="give a packed capture")
        self.rebuilt = None if table else "its index is missing or wrong"
        sizes = table or list(zstdframes.walked(self.file))
        self._packed = array("Q", itertools.accumulate((s for s, _ in sizes), initial=0))
        self._content = array("Q", itertools.accumulate((s for _, s in sizes), initial=0))
        self.size = self._content[-1]
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def close(self) -> None:
        """Give the file back."""
        self.file.close()
        self._kept.clear()

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self._packed) - 1

    def __getitem__(self, index: int) -> Frame:
        if not 0 <= index < len(self):
            raise IndexError(index)
        packed, content = self._packed, self._content
        return Frame((packed[index], packed[index + 1]), (content[index], content[index + 1]))

    def index_at(self, offset: int) -> int:
        """The number of the frame that holds the content at `offset`; that is below `size`."""
        return bisect_right(self._content, offset) - 1

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes of content.

        :raises FormatError: a frame of it is damaged, or the content ends before
        :raises TargetError: the file vanished, shrank or was replaced
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise FormatError(
                self.path, None, f"ends at {self.size:#x} of its content", hint=_VERIFY
            )
        parts = [self.unpack(k)[low:high] for k, low, high in self.pieces(offset, size)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pieces(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """The frames that hold `[offset, offset + size)`: number, and from where to where in it."""
        end = offset + size
        while offset < end:
            index = self.index_at(offset)
            low, high = self[index].content
            yield index, offset - low, min(end, high) - low
            offset = min(end, high)

    def unpack(self, index: int) -> bytes:
        """What frame `index` holds; errors as `read`."""
        self.file.check()
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        data = self._unpack(index)
        self._kept[index] = data
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return data

    def _unpack(self, index: int) -> bytes:
        import zstandard

        (start, end), (low, high) = self[index]
        packed = self.file.read(start, end - start)
        try:
            claims = zstandard.get_frame_parameters(packed)
            if claims.content_size != high - low or claims.dict_id:
                raise zstandard.ZstdError("its header does not fit the index")
            unpacker = zstandard.ZstdDecompressor(max_window_size=8 * zstdframes.MAX_FRAME)
            data = unpacker.decompress(packed)
        except (zstandard.ZstdError, MemoryError) as error:
            raise FormatError(self.path, start, f"damaged frame: {error}", hint=_VERIFY) from error
        if len(data) != high - low:
            raise FormatError(self.path, start, "damaged frame: it is too short", hint=_VERIFY)
        return data


_VERIFY = "'ntbdbg verify' tells what of it is whole"
