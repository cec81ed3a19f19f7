# SPDX-License-Identifier: MIT
"""What a build left is found, written down, and given to guests; what is missing is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from run.base.config import Paths
from run.base.errors import HostError, RunError
from run.cli.launching import load_build
from run.lab.lab import lab_paths
from run.steps.artifacts import GuestImage, QemuInstall
from run.vm import disks
from run.yocto import host
from run.yocto.collect import kernel_release, record_image, record_qemu
from run.yocto.layout import KAS_FILE, Layout, build_argv, premirrors

QEMU = """#!/bin/sh
case $1 in
--version) echo 'QEMU emulator version 10.2.0'; echo more;;
-device) echo 'name "idt-ntb-ivshmem", bus PCI';;
esac
"""


def bzimage(release: bytes) -> bytes:
    head = bytearray(0x600)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    head[0x300 : 0x300 + len(release)] = release
    return bytes(head)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A build folder as bitbake leaves it."""
    made = Layout(Paths(tmp_path / "build"))
    made.deploy.mkdir(parents=True)
    (made.deploy / "bzImage").write_bytes(bzimage(b"6.18.39-yocto-standard (oe@oe) #1 SMP"))
    (made.deploy / "vmlinux").write_bytes(b"ELF")
    (made.deploy / "modules-qemux86-64.tgz").write_bytes(b"tgz")
    (made.deploy / "ntb-image-qemux86-64.rootfs-1.ext4").write_bytes(b"\0" * (1 << 20) + b"ext4")
    made.rootfs.symlink_to("ntb-image-qemux86-64.rootfs-1.ext4")
    programs = (
        made.build / "tmp/work/x86_64-linux/qemu-helper-native/1.0/recipe-sysroot-native/usr/bin"
    )
    programs.mkdir(parents=True)
    (programs / "qemu-system-x86_64").write_text(QEMU)
    (programs / "qemu-system-x86_64").chmod(0o755)
    (programs / "ivshmem-server").write_text("#!/bin/sh\n")
    return made


def test_what_is_built_is_recorded_and_found(layout: Layout) -> None:
    image, qemu = record_image(layout), record_qemu(layout)
    assert image.release == "6.18.39-yocto-standard"
    assert image.rootfs == str(layout.rootfs)
    assert qemu.version == "QEMU emulator version 10.2.0"
    build = load_build(str(layout.paths.build), "yocto")
    assert (build.image, build.qemu) == (image, qemu)
    with pytest.raises(RunError, match="python3 run build"):
        load_build(str(layout.paths.build))


@pytest.mark.parametrize("name", ["bzImage", "vmlinux", "modules-qemux86-64.tgz"])
def test_a_missing_part_is_named(layout: Layout, name: str) -> None:
    (layout.deploy / name).unlink()
    with pytest.raises(RunError, match=f"the build left no .*{name}; .*build yocto"):
        record_image(layout)


def test_no_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no Yocto QEMU in .*; python3 run build yocto"):
        load_build(str(tmp_path), "yocto")
    with pytest.raises(RunError, match="no native sysroot"):
        record_qemu(Layout(Paths(tmp_path)))


def test_a_qemu_without_the_device(layout: Layout) -> None:
    (program,) = layout.build.rglob("qemu-system-x86_64")
    program.write_text(QEMU.replace("idt-ntb", "other"))
    with pytest.raises(RunError, match="has no device idt-ntb-ivshmem; is meta-ntb"):
        record_qemu(layout)


def test_a_qemu_that_does_not_run(layout: Layout) -> None:
    (program,) = layout.build.rglob("qemu-system-x86_64")
    program.write_text("#!/bin/sh\necho libslirp.so.0: no such file >&2; exit 127\n")
    with pytest.raises(RunError, match=r"does not run: libslirp.so.0"):
        record_qemu(layout)


@pytest.mark.parametrize("content", [b"", b"x" * 0x300, bzimage(b""), bzimage(b"\xff\xff")])
def test_what_is_no_kernel(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bzImage").write_bytes(content)
    with pytest.raises(RunError, match=r"no kernel image|does not say its version"):
        kernel_release(tmp_path / "bzImage")


def test_a_disk_is_a_copy_that_goes_with_the_lab(layout: Layout, tmp_path: Path) -> None:
    paths = lab_paths(tmp_path / "lab")
    paths.folder.mkdir()
    record_image(layout)
    for guest in ("qemu1", "qemu2"):
        disks.make(paths, guest, layout.rootfs, layout.disks)
        (copy,) = layout.disks.glob(f"*-{guest}.ext4")
        assert paths.disk(guest).read_bytes() == layout.rootfs.read_bytes()
        assert copy.stat().st_mode & 0o777 == 0o600
        assert copy.stat().st_blocks * 512 < 1 << 20, "sparse"
    with paths.disk("qemu1").open("r+b") as disk:
        disk.write(b"changed")
    assert layout.rootfs.read_bytes()[:7] == b"\0" * 7
    disks.remove(paths, "qemu1")
    disks.remove(paths, "qemu1")
    assert [path.name.endswith("qemu2.ext4") for path in layout.disks.iterdir()] == [True]


def test_a_link_to_something_else_is_not_followed(tmp_path: Path) -> None:
    paths = lab_paths(tmp_path / "lab")
    paths.folder.mkdir()
    (tmp_path / "precious").write_text("mine")
    paths.disk("qemu1").symlink_to(tmp_path / "precious")
    disks.remove(paths, "qemu1")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not paths.disk("qemu1").is_symlink()


def test_root_is_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(HostError, match=r"does not run as root; .*--container build yocto"):
        host.check_user()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    host.check_user()


def test_room_is_asked_for_before_the_first_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "DISK_NEEDED", 1 << 60)
    with pytest.raises(HostError, match="GiB free, a Yocto build takes"):
        host.check_room(tmp_path, present=False)
    host.check_room(tmp_path, present=True)


def test_what_is_said_before_it_starts(tmp_path: Path) -> None:
    said = host.announcement(tmp_path, 2, present=False)
    assert "60 GiB" in said
    assert "15 hours" in said
    assert "goes on" in host.announcement(tmp_path, 2, present=True)


def test_kas_is_told_what_and_where(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert build_argv(["image"]) == ["kas", "build", "--target", "ntb-image", str(KAS_FILE)]
    monkeypatch.setenv("NTB_YOCTO_MIRRORS", str(tmp_path))
    environ = layout.environ()
    assert environ["KAS_BUILD_DIR"] == str(layout.build)
    assert environ["KAS_PREMIRRORS"] == premirrors(str(tmp_path))
    monkeypatch.delenv("NTB_YOCTO_MIRRORS")
    assert "KAS_PREMIRRORS" not in layout.environ()


def test_the_two_records_are_not_mixed_up(layout: Layout) -> None:
    assert QemuInstall.path(layout.installed.build) != QemuInstall.path(layout.paths.build)
    assert GuestImage.path(layout.installed.build) != GuestImage.path(layout.paths.build)
