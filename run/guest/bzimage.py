# SPDX-License-Identifier: MIT
"""What a bzImage says of itself, and the kernel inside it.

Source: Linux Documentation/arch/x86/boot.rst; what follows the payload is its size
(scripts/Makefile.lib, ``size_append``).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError

_MAGIC = b"HdrS"
_SETUP_SECTORS, _MAGIC_AT, _VERSION_AT, _NAME_AT = 0x1F1, 0x202, 0x206, 0x20E
_XLOADFLAGS_AT, _PAYLOAD_AT = 0x236, 0x248
_SECTOR = 512

#: the protocol that has the fields we read
_PROTOCOL = 0x020C

#: the kernel can be entered in 64-bit mode
_XLF_KERNEL_64 = 1

#: no kernel, compressed or not, is larger
MOST = 1 << 30

#: other machines' images, by what is at which place (Documentation/arch/arm64/booting.rst,
#: Documentation/arch/riscv/boot-image-header.rst)
_FOREIGN = ((0x38, b"ARM\x64", "arm64"), (0x38, b"RSC\x05", "riscv64"))


@dataclass(frozen=True)
class BzImage:
    """An x86-64 kernel as it is booted.

    :param release: ``uname -r``
    :param banner: the release, and who built it when
    """

    path: Path
    release: str
    banner: str
    payload: bytes

    @classmethod
    def read(cls, path: Path) -> BzImage:
        """:raises RunError: it is no kernel for this machine"""
        try:
            if path.stat().st_size > MOST:
                raise RunError(f"{path}: too large for a kernel", hint="give a bzImage")
            data = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}", hint="give a bzImage") from error
        _check_machine(path, data)
        start, size = struct.unpack_from("<II", data, _PAYLOAD_AT)
        start += ((data[_SETUP_SECTORS] or 4) + 1) * _SECTOR
        banner = _text(data, struct.unpack_from("<H", data, _NAME_AT)[0] + _SECTOR)
        if not banner or start + size > len(data):
            raise RunError(f"{path}: a bzImage that is cut off", hint="build it anew")
        return cls(path, banner.split()[0], banner, data[start : start + size])

    def vmlinux(self) -> bytes | None:
        """The kernel as an ELF file without symbols; None if it is compressed in a way that
        is not known here (lzo)."""
        for magic, decompress in _COMPRESSIONS.items():
            if self.payload.startswith(magic):
                try:
                    return decompress(self.payload)
                except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                    raise RunError(
                        f"{self.path}: the kernel in it cannot be unpacked: {error}",
                        hint="build it anew",
                    ) from error
        return None


def _check_machine(path: Path, data: bytes) -> None:
    for place, magic, machine in _FOREIGN:
        if data[place : place + len(magic)] == magic:
            raise RunError(
                f"{path}: a kernel for {machine}, the guests are x86-64",
                hint="build it with ARCH=x86_64",
            )
    if data.startswith(b"\x7fELF"):
        raise RunError(
            f"{path}: an ELF file; QEMU boots a bzImage",
            hint="give arch/x86/boot/bzImage, or the folder in which the kernel was built",
        )
    if len(data) < _PAYLOAD_AT + 8 or data[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        raise RunError(f"{path}: not a bzImage", hint="give arch/x86/boot/bzImage")
    if struct.unpack_from("<H", data, _VERSION_AT)[0] < _PROTOCOL:
        raise RunError(
            f"{path}: a bzImage older than Linux 3.8", hint="give a kernel that knows NTB"
        )
    if not struct.unpack_from("<H", data, _XLOADFLAGS_AT)[0] & _XLF_KERNEL_64:
        raise RunError(f"{path}: a kernel for 32-bit x86", hint="build it with CONFIG_64BIT=y")


def _text(data: bytes, start: int) -> str:
    end = data.find(b"\0", start, start + 256)
    return data[start:end].decode(errors="replace") if end >= 0 else ""


def _unzip(data: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, MOST)


def _unxz(data: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO).decompress(data, MOST)


def _unbzip(data: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, MOST)


def _unzstd(data: bytes) -> bytes:
    import zstandard

    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        return reader.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _unlz4(data: bytes) -> bytes:
    """Legacy frames (lz4_Frame_format.md), which the program alone takes; the size that the
    kernel's build appends would be taken for a further block."""
    done = subprocess.run(["lz4", "-dcq"], input=data[:-4], capture_output=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    return done.stdout


_COMPRESSIONS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": _unzip,
    b"\xfd7zXZ\0": _unxz,
    b"\x5d\0\0": _unxz,
    b"BZh": _unbzip,
    b"\x28\xb5\x2f\xfd": _unzstd,
    b"\x02\x21\x4c\x18": _unlz4,
}


def plain_module(data: bytes) -> bytes:
    """A kernel module as an ELF file, be it compressed (.ko.gz, .ko.xz, .ko.zst) or not."""
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return _unzstd(data)
    if data.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(data)
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
