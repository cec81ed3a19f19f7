# SPDX-License-Identifier: MIT
"""Files that hold no memory as it is: named, each with its converter."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from cramjam import lz4

from ntbdbg import open_files
from ntbdbg.errors import FormatError
from tests.ntbdbg.conftest import Run

PAGE = 4096


def zipped(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "made", "w") as archive:
        archive.writestr("ram", b"x")
    return (folder / "made").read_bytes()


FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "savevm": (lambda _: b"QEVM\0\0\0\3", "migration stream of QEMU.*-incoming"),
    "libvirt": (lambda _: b"LibvirtQemudSave\2", "saved by libvirt.*virsh restore"),
    "libvirt, half": (lambda _: b"LibvirtQemudPart\2", "libvirt did not save to its end"),
    "windows": (lambda _: b"PAGEDU64\x0f", "crash dump of Windows.*layerwriter"),
    "windows, 32": (lambda _: b"PAGEDUMP\x0f", "crash dump of Windows"),
    "vmss 0": (lambda _: bytes.fromhex("d0bed2be"), "VMware.*vmss2core"),
    "vmss 2": (lambda _: bytes.fromhex("d2bed2be"), "VMware.*vmss2core"),
    "vmss 3": (lambda _: bytes.fromhex("d3bed2be"), "VMware.*vmss2core"),
    "vmsn": (lambda _: bytes.fromhex("d1bad1ba"), "VMware.*vmss2core"),
    "sadump": (lambda _: b"sadump\0\0", "sadump.*makedumpfile"),
    "lkcd": (lambda _: bytes.fromhex("ed238f61730119a8"), "LKCD.*crash"),
    "qcow2": (lambda _: b"QFI\xfb\0\0\0\3", r"qcow2.*-loadvm"),
    "vdi": (lambda _: bytes(64) + bytes.fromhex("7f10dabe"), "VDI"),
    "vmdk": (lambda _: b"KDMV\1", "VMDK"),
    "gzip": (lambda _: gzip.compress(b"x"), "compressed by gzip.*gunzip"),
    "xz": (lambda _: lzma.compress(b"x"), "compressed by xz.*unxz"),
    "zstd": (lambda _: zstandard.compress(b"x"), "compressed by zstd.*unzstd"),
    "lz4": (lambda _: bytes(lz4.compress(b"x")), "compressed by lz4.*unlz4"),
    "bzip2": (lambda _: bz2.compress(b"x"), "compressed by bzip2.*bunzip2"),
    "zip": (zipped, "zip archive.*unzip"),
}


@pytest.fixture(params=FILES, ids=str)
def foreign(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """Such a file of one page, and what is said of it."""
    make, words = FILES[request.param]
    path = tmp_path / "file"
    path.write_bytes(make(tmp_path).ljust(PAGE, b"\0"))
    return path, words


def test_it_is_named_with_its_converter(foreign: tuple[Path, str]) -> None:
    path, words = foreign
    with pytest.raises(FormatError, match=words) as caught:
        open_files().guest(str(path))
    assert caught.value.path == str(path)
    assert "--segments take it for raw RAM" in str(caught.value)


def test_it_can_be_forced(foreign: tuple[Path, str]) -> None:
    path, _ = foreign
    for options in ({"machine": "q35"}, {"segments": "0:4K:0"}):
        assert open_files(**options).guest(str(path)).read(0, PAGE) == path.read_bytes()


@pytest.mark.parametrize("start", [bytes(8), b"\x53\xff\0\xf0", b"\xff" * 8, b"QEV", b"\x1f\x8b"])
def test_memory_is_memory(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "ram"
    path.write_bytes(start.ljust(PAGE, b"\1"))
    assert open_files().guest(str(path)).read(0, len(start)) == start


def test_commands_end_with_exit_code_3(ntbdbg: Run, tmp_path: Path) -> None:
    path = tmp_path / "ram.gz"
    path.write_bytes(gzip.compress(b"x").ljust(PAGE, b"\0"))
    for words in (["dump", path, "0", "8"], ["info", path], ["--from", path, "dump", "ram", "0"]):
        done = ntbdbg(*words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "is compressed by gzip, not memory as it is; 'gunzip -k ram.gz'" in done.stderr
    path.write_bytes(gzip.compress(b"x"))
    assert "compressed by gzip" in ntbdbg("--from", path, "dump", "ram", "0").stderr
