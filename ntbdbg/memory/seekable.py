# SPDX-License-Identifier: MIT
"""Files of zstd frames with an index at the end: any part is read without unpacking the rest.

`ntbdbg.memory.zstdframes` finds the frames. Every zstd program unpacks such a file as a whole.
"""

from __future__ import annotations

from ntbdbg.errors import FormatError
from ntbdbg.memory import zstdframes
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.framed import Frame, FramedFile

__all__ = ["Frame", "SeekableFile"]


class SeekableFile(FramedFile):
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
        super().__init__(self.file, sizes, _VERIFY)

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
