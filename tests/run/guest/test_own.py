# SPDX-License-Identifier: MIT
"""Guests with kernels of the user's own: from a build folder, or from a bzImage and its modules."""

from __future__ import annotations

import gzip
import io
import lzma
import os
from pathlib import Path

import pytest
import zstandard
from rich.console import Console

from run.base.config import Paths
from run.base.errors import RunError
from run.guest import ownmodules
from run.guest.choice import OwnKernel
from run.guest.own import build_own
from run.make.images import guest_image
from run.steps.artifacts import GuestImage, MissingBuild
from run.steps.steps import Steps
from tests.support.bzimagewriter import VMLINUX, bzimage, write_module
from tests.support.newc import read_newc

RELEASE = "6.6.6-mine"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A build folder with the guest of Debian's kernel."""
    made = Paths(tmp_path / "build")
    made.guest.mkdir(parents=True)
    (made.guest / "base").write_bytes(zstandard.compress(b"under\0\0\0"))
    (made.guest / "ntb_test.sh").write_text("#!/bin/bash\n# Debian's\n")
    guest = {name: str(made.guest / name) for name in ("kernel", "initramfs", "vmlinux", "modules")}
    GuestImage(release="6.1", key="k", base=str(made.guest / "base"), **guest).save(made.build)
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel's build folder, as far as it matters."""
    made = tmp_path / "linux"
    (made / "arch/x86/boot").mkdir(parents=True)
    (made / "arch/x86/boot/bzImage").write_bytes(bzimage(RELEASE))
    (made / "vmlinux").write_bytes(VMLINUX + b"and all symbols")
    write_module(made / "drivers/ntb/ntb.ko", RELEASE)
    write_module(
        made / "drivers/ntb/hw/idt/ntb_hw_idt.ko", RELEASE, depends="ntb", alias="pci:v0000111Dd*"
    )
    write_module(made / "net/deep/er.ko", RELEASE)
    return made


def _build(paths: Paths, choice: OwnKernel) -> GuestImage:
    return build_own(Steps(paths.logs, Console(file=io.StringIO())), paths, choice)


def _entries(image: GuestImage) -> dict[str, bytes]:
    """What goes with the kernel, from behind the archive under it."""
    data, found = Path(image.initramfs).read_bytes(), []
    while data:
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        found.append(unpacker.decompress(data))
        data = unpacker.unused_data
    assert found[0] == b"under\0\0\0"
    return {name: entry.data for name, entry in read_newc(found[1]).items()}


def test_a_build_folder(paths: Paths, tree: Path) -> None:
    image = _build(paths, OwnKernel(tree))
    assert (image.release, image.ntb, image.notes) == (RELEASE, True, [])
    assert Path(image.kernel).read_bytes() == (tree / "arch/x86/boot/bzImage").read_bytes()
    assert image.vmlinux == str(tree / "vmlinux")
    entries = _entries(image)
    folder = f"lib/modules/{RELEASE}"
    module = entries[f"{folder}/kernel/drivers/ntb/hw/idt/ntb_hw_idt.ko"]
    assert b"vermagic=6.6.6-mine" in module
    assert b".debug_info" not in module
    assert b"kernel/net/deep/er.ko:" in entries[f"{folder}/modules.dep"]
    assert b"alias pci:v0000111Dd* ntb_hw_idt" in entries[f"{folder}/modules.alias"]
    assert b"Debian's" in entries["usr/lib/selftests/ntb/ntb_test.sh"]
    assert GuestImage.load(OwnKernel(tree).home(paths).build) == image


def test_its_own_selftest_is_taken(paths: Paths, tree: Path) -> None:
    script = tree / "tools/testing/selftests/ntb/ntb_test.sh"
    script.parent.mkdir(parents=True)
    script.write_text("mine")
    assert _entries(_build(paths, OwnKernel(tree)))["usr/lib/selftests/ntb/ntb_test.sh"] == b"mine"


def test_it_is_made_again_only_if_something_changed(paths: Paths, tree: Path) -> None:
    first = _build(paths, OwnKernel(tree))
    made = Path(first.initramfs).stat().st_mtime_ns
    assert _build(paths, OwnKernel(tree)) == first
    assert Path(first.initramfs).stat().st_mtime_ns == made
    write_module(tree / "net/deep/er.ko", RELEASE, depends="ntb")
    os.utime(tree / "net/deep/er.ko", ns=(1, 1))
    second = _build(paths, OwnKernel(tree))
    assert second.key != first.key
    assert b"depends=ntb" in _entries(second)[f"lib/modules/{RELEASE}/kernel/net/deep/er.ko"]


@pytest.mark.parametrize("below", ["", "lib/modules/6.6.6-mine", "usr/lib/modules/6.6.6-mine"])
def test_a_bzimage_with_installed_modules(paths: Paths, tmp_path: Path, below: str) -> None:
    kernel, root = tmp_path / "vmlinuz", tmp_path / "root"
    kernel.write_bytes(bzimage(RELEASE))
    folder = root / below
    write_module(folder / "kernel/drivers/ntb/ntb.ko", RELEASE)
    plain = write_module(tmp_path / "x.ko", RELEASE).read_bytes()
    for name, pack in (("x.ko.xz", lzma.compress), ("y.ko.gz", gzip.compress)):
        (folder / "extra").mkdir(exist_ok=True)
        (folder / "extra" / name).write_bytes(pack(plain))
    image = _build(paths, OwnKernel(kernel, modules=root))
    assert Path(image.vmlinux).read_bytes() == VMLINUX
    names = [name for name in _entries(image) if name.endswith(".ko")]
    parts = ("extra/x.ko", "extra/y.ko", "kernel/drivers/ntb/ntb.ko")
    assert names == [f"lib/modules/{RELEASE}/{part}" for part in parts]


def test_an_initrd_of_the_users_own(paths: Paths, tree: Path, tmp_path: Path) -> None:
    mine = tmp_path / "initrd"
    mine.write_bytes(b"my own archive")
    image = _build(paths, OwnKernel(tree, initrd=mine))
    assert Path(image.initramfs).read_bytes().startswith(b"my own archive")


def test_of_many_modules_those_that_a_guest_needs(
    paths: Paths, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what these need, and what somebody added."""
    monkeypatch.setattr(ownmodules, "FEW", 3)
    write_module(tree / "drivers/net/virtio_net.ko", RELEASE, depends="er")
    write_module(tree / "sound/soundcore.ko", RELEASE)
    image = _build(paths, OwnKernel(tree))
    names = {Path(name).name for name in _entries(image) if name.endswith(".ko")}
    assert names == {"ntb.ko", "ntb_hw_idt.ko", "virtio_net.ko", "er.ko"}
    (note,) = image.notes
    assert note.startswith(f"{tree}: the guest has 4 of 5 modules, those for its own devices")


# -- what is refused, and what is told -------------------------------------------------------


def refused(paths: Paths, choice: OwnKernel) -> RunError:
    with pytest.raises(RunError) as caught:
        _build(paths, choice)
    return caught.value


def test_a_folder_in_which_no_kernel_was_built(paths: Paths, tmp_path: Path) -> None:
    error = refused(paths, OwnKernel(tmp_path))
    assert str(error).startswith(f"{tmp_path}: no kernel was built there, arch/x86/boot/bzImage")
    assert "make" in (error.hint or "")


def test_modules_for_another_kernel(paths: Paths, tree: Path) -> None:
    for path in tree.rglob("*.ko"):
        write_module(path, "6.5.0")
    error = refused(paths, OwnKernel(tree))
    assert f"a module for Linux 6.5.0, the kernel is {RELEASE}" in str(error)
    assert "make modules" in (error.hint or "")


def test_installed_modules_of_another_kernel(paths: Paths, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "root/lib/modules/6.5.0").mkdir(parents=True)
    error = refused(paths, OwnKernel(tree, modules=tmp_path / "root"))
    assert f"has modules of 6.5.0, the kernel is {RELEASE}" in str(error)
    assert "--modules" in (error.hint or "")


def test_a_module_that_is_damaged(paths: Paths, tree: Path) -> None:
    (tree / "drivers/ntb/ntb.ko").unlink()
    (tree / "drivers/ntb/ntb.ko.xz").write_bytes(b"\xfd7zXZ\0and then not")
    assert str(refused(paths, OwnKernel(tree))).startswith(f"{tree}/drivers/ntb/ntb.ko.xz: ")


def test_without_debians_guest_there_are_no_programs(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingBuild, match="python3 run build guest"):
        _build(Paths(tmp_path / "empty"), OwnKernel(tree))


def _kernel(tmp_path: Path, content: bytes) -> OwnKernel:
    path = tmp_path / "bzImage"
    path.write_bytes(bzimage(RELEASE, gzip.compress(content)))
    return OwnKernel(path)


def test_a_kernel_without_ntb_is_no_guest_of_a_linked_lab(paths: Paths, tmp_path: Path) -> None:
    choice = _kernel(tmp_path, VMLINUX.replace(b"ntb_hw_idt", b"something_"))
    with pytest.raises(RunError, match=f"^{choice.path}: no driver for the NTB port") as caught:
        guest_image(paths, choice, linked=True)
    assert "CONFIG_NTB_IDT" in (caught.value.hint or "")
    assert guest_image(paths, choice, linked=False).ntb is False, "alone it needs none"


def test_ntb_may_be_built_in(paths: Paths, tmp_path: Path) -> None:
    assert guest_image(paths, _kernel(tmp_path, VMLINUX), linked=True).modules


@pytest.mark.parametrize(
    ("lost", "words", "remedy"),
    [
        (b".BTF", "no BTF in it", "CONFIG_DEBUG_INFO_BTF=y"),
        (b"SYMBOL(", "no VMCOREINFO in it", "CONFIG_KEXEC=y"),
    ],
)
def test_what_ntbdbg_will_miss_is_told(
    paths: Paths, tmp_path: Path, lost: bytes, words: str, remedy: str
) -> None:
    choice = _kernel(tmp_path, VMLINUX.replace(lost, b"?" * len(lost)))
    (note,) = _build(paths, choice).notes
    assert note.startswith(f"{choice.path}: {words}")
    assert remedy in note


def test_a_compression_that_is_not_known_is_told(paths: Paths, tmp_path: Path) -> None:
    path = tmp_path / "bzImage"
    path.write_bytes(bzimage(RELEASE, b"\x89LZO"))
    image = _build(paths, OwnKernel(path))
    assert image.vmlinux == ""
    assert image.ntb, "nobody could look"
    assert "was not looked at" in image.notes[0]


def test_options_that_a_guest_cannot_be_without(paths: Paths, tree: Path) -> None:
    options = [f"CONFIG_{name}=y" for name in ("64BIT", "BINFMT_ELF", "RD_ZSTD")]
    (tree / ".config").write_text("\n".join([*options, "# CONFIG_VIRTIO_NET is not set"]))
    (note,) = _build(paths, OwnKernel(tree)).notes
    assert "CONFIG_VIRTIO_NET" in note
    assert "CONFIG_RD_ZSTD" not in note
