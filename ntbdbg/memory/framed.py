# SPDX-License-Identifier: MIT
"""Files whose content lies in frames, each of which is unpacked by itself when it is read."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import FormatError

if TYPE_CHECKING:
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


class FramedFile(ABC):
    """The content of `file`, by offset.

    :param sizes: of each frame, one behind the other: bytes in the file, and of content; what
        lies between frames counts as one without content
    :param hint: what to do about damage
    :ivar size: bytes of content that are there
    """

    def __init__(self, file: CheckedFile, sizes: Sequence[tuple[int, int]], hint: str) -> None:
        self.file = file
        self.path = file.path
        self.hint = hint
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
                self.path, None, f"ends at {self.size:#x} of its content", hint=self.hint
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

    @abstractmethod
    def _unpack(self, index: int) -> bytes:
        """What frame `index` holds, as many bytes as its content has; FormatError if it cannot."""
