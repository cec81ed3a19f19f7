# SPDX-License-Identifier: MIT
"""The four ways in which pages of a kdump file are compressed.

Whatever a page claims to be, decompressing it makes no more than one page.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from types import ModuleType

from ntbdbg.errors import NtbdbgError, TargetError
from ntbdbg.memory.formats.kdumpformat import LZO, SNAPPY, ZLIB, ZSTD

Decompress = Callable[[bytes, int], bytes]
"""Takes data and the size of a page; raises ValueError unless it gives one page."""

_LZO_LIBRARY = "liblzo2.so.2"


def decompressor(flag: int) -> Decompress:
    """For pages whose descriptor has this one of the compression flags set.

    :raises TargetError: the library for it is not installed
    """
    return _MAKERS[flag]()


def _zlib() -> Decompress:
    import zlib

    def decompress(data: bytes, size: int) -> bytes:
        try:
            return zlib.decompressobj().decompress(data, size + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None

    return decompress


def _zstd() -> Decompress:
    import zstandard

    engine = zstandard.ZstdDecompressor()

    def decompress(data: bytes, size: int) -> bytes:
        try:
            # The library believes a frame's own word, whatever limit it is given.
            if zstandard.frame_content_size(data) not in (-1, size):
                raise ValueError("its zstd frame is not of the size of a page")
            return engine.decompress(data, max_output_size=size)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None

    return decompress


def _snappy() -> Decompress:
    cramjam = _library("cramjam")

    def decompress(data: bytes, size: int) -> bytes:
        try:
            # Its length comes first, and is allocated.
            if cramjam.snappy.decompress_raw_len(data) != size:
                raise ValueError("its snappy data is not of the size of a page")
            return bytes(cramjam.snappy.decompress_raw(data))
        except cramjam.DecompressionError as error:
            raise ValueError(str(error)) from None

    return decompress


def _lzo() -> Decompress:
    try:
        library = ctypes.CDLL(_LZO_LIBRARY)
    except OSError:
        raise _missing("lzo", "install Debian's liblzo2-2") from None
    call = library.lzo1x_decompress_safe

    def decompress(data: bytes, size: int) -> bytes:
        page = ctypes.create_string_buffer(size)
        length = ctypes.c_size_t(size)
        if call(data, ctypes.c_size_t(len(data)), page, ctypes.byref(length), None):
            raise ValueError("its lzo data is corrupt")
        return page.raw[: length.value]

    return decompress


_MAKERS: dict[int, Callable[[], Decompress]] = {
    ZLIB: _zlib,
    LZO: _lzo,
    SNAPPY: _snappy,
    ZSTD: _zstd,
}


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise _missing("snappy", f"pip install {name}") from None


def _missing(method: str, hint: str) -> NtbdbgError:
    return TargetError(
        f"pages of this dump are compressed by {method}, no library for it", hint=hint
    )
