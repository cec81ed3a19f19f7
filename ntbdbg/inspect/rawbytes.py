# SPDX-License-Identifier: MIT
"""The C library's memmem and memcmp over bytes where they lie, also in a read-only mapping.

Python's own `find` and `==` want a copy, or go byte by byte over a view.
"""

from __future__ import annotations

import ctypes

_libc = ctypes.CDLL(None)

memmem = _libc.memmem
"""`memmem(address, size, needle, needle size)`: address of the first occurrence, or None."""
memmem.restype = ctypes.c_void_p
memmem.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

memcmp = _libc.memcmp
"""`memcmp(address, address, size)`: 0 if the bytes are the same."""
memcmp.restype = ctypes.c_int
memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


class _PyBuffer(ctypes.Structure):
    """Python's ``Py_buffer``; part of the stable ABI."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_PyBuffer)]
_release_buffer.restype = None
_READ_ONLY_WILL_DO = 0


class Pinned:
    """The address of a buffer, which stays where it is inside the ``with`` block."""

    def __init__(self, buffer: bytes | bytearray | memoryview) -> None:
        self._buffer = buffer

    def __enter__(self) -> int:
        self._held = _PyBuffer()
        _get_buffer(self._buffer, ctypes.byref(self._held), _READ_ONLY_WILL_DO)
        return self._held.buf or 0

    def __exit__(self, *_: object) -> None:
        _release_buffer(ctypes.byref(self._held))
