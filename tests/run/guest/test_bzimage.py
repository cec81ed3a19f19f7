# SPDX-License-Identifier: MIT
"""Kernels as they are booted: what they say, what is in them, and what is no kernel for us."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from run.base.errors import RunError
from run.guest.bzimage import BzImage, plain_module
from tests.support.bzimagewriter import VMLINUX, bzimage


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "bzImage"
    path.write_bytes(data)
    return path


def _zstd(data: bytes) -> bytes:
    return zstandard.compress(data) + len(data).to_bytes(4, "little")


def _xz(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}]
    packed = lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters)
    return packed + len(data).to_bytes(4, "little")


def _alone(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


def _lz4(data: bytes) -> bytes:
    done = subprocess.run(["lz4", "-lcq"], input=data, capture_output=True, check=True)
    return done.stdout + len(data).to_bytes(4, "little")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, _alone, _lz4, _xz, _zstd])
def test_the_kernel_in_it_comes_out(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    found = BzImage.read(_written(tmp_path, bzimage("6.9.1-x", pack(VMLINUX * 999))))
    assert found.release == "6.9.1-x"
    assert found.vmlinux() == VMLINUX * 999


def test_a_compression_that_is_not_known_is_no_fault(tmp_path: Path) -> None:
    lzo = b"\x89LZO" + bytes(50)
    assert BzImage.read(_written(tmp_path, bzimage(payload=lzo))).vmlinux() is None


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, _lz4, _xz, _zstd])
def test_a_damaged_kernel_is_said(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(VMLINUX * 999))
    packed[8:] = bytes(len(packed) - 8)
    image = BzImage.read(_written(tmp_path, bzimage(payload=bytes(packed))))
    with pytest.raises(RunError, match="cannot be unpacked") as caught:
        image.vmlinux()
    assert caught.value.hint == "build it anew"


ARM64 = bytes(0x38) + b"ARM\x64" + bytes(1 << 12)
RISCV64 = bytes(0x38) + b"RSC\x05" + bytes(1 << 12)


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        (ARM64, "a kernel for arm64, the guests are x86-64", "ARCH=x86_64"),
        (RISCV64, "a kernel for riscv64, the guests are x86-64", "ARCH=x86_64"),
        (b"\x7fELF" + bytes(5000), "an ELF file; QEMU boots a bzImage", "arch/x86/boot/bzImage"),
        (b"#!/bin/sh\n", "not a bzImage", "arch/x86/boot/bzImage"),
        (b"", "not a bzImage", "arch/x86/boot/bzImage"),
        (bzimage(xloadflags=0), "a kernel for 32-bit x86", "CONFIG_64BIT"),
        (bzimage(protocol=0x0204), "older than Linux 3.8", "knows NTB"),
        (bzimage()[:2080], "cut off", "build it anew"),
    ],
)
def test_what_is_no_kernel_for_a_guest(tmp_path: Path, data: bytes, words: str, hint: str) -> None:
    path = _written(tmp_path, data)
    with pytest.raises(RunError) as caught:
        BzImage.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file"):
        BzImage.read(tmp_path / "none")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstandard.compress])
def test_modules_are_unpacked(pack: Callable[[bytes], bytes]) -> None:
    assert plain_module(pack(b"\x7fELF module")) == b"\x7fELF module"
