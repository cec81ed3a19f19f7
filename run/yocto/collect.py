# SPDX-License-Identifier: MIT
"""What a Yocto build made, found and written down for `vm` and `vms`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from run.base.errors import RunError
from run.steps.artifacts import GuestImage, QemuInstall
from run.steps.store import digest
from run.yocto.layout import MACHINE, Layout

DEVICE = "idt-ntb-ivshmem"

#: where a bzImage says how far from offset 0x200 its version is (Documentation/arch/x86/boot.rst)
_MAGIC, _VERSION = slice(0x202, 0x206), slice(0x20E, 0x210)

_AGAIN = "'python3 run build yocto' builds it"


def record_image(layout: Layout) -> GuestImage:
    """Write down the image; raises RunError naming what is missing."""
    kernel = _file(layout.deploy / "bzImage")
    rootfs = _file(layout.rootfs)
    release = kernel_release(kernel)
    image = GuestImage(
        release=release,
        kernel=str(kernel),
        initramfs="",
        vmlinux=str(_file(layout.deploy / "vmlinux")),
        modules=str(_file(layout.deploy / f"modules-{MACHINE}.tgz")),
        key=_identity(kernel, rootfs),
        rootfs=str(rootfs),
        disks=str(layout.disks),
    )
    image.save(layout.installed.build)
    return image


def record_qemu(layout: Layout) -> QemuInstall:
    """Write down the QEMU; raises RunError if it is not there or has not our device."""
    sysroots = layout.sysroots()
    if not sysroots:
        raise RunError(f"no native sysroot with QEMU in {layout.build}", hint=_AGAIN)
    programs = sysroots[-1] / "usr" / "bin"
    qemu = _file(programs / "qemu-system-x86_64")
    version = _ask(qemu, "--version").partition("\n")[0]
    if f'"{DEVICE}"' not in _ask(qemu, "-device", "help"):
        raise RunError(f"{qemu} has no device {DEVICE}", hint="is meta-ntb among its layers?")
    install = QemuInstall(
        qemu=str(qemu),
        ivshmem_server=str(_file(programs / "ivshmem-server")),
        firmware=[str(sysroots[-1] / "usr" / "share" / "qemu")],
        version=version,
        key=_identity(qemu),
    )
    install.save(layout.installed.build)
    return install


def kernel_release(image: Path) -> str:
    """``uname -r`` of a bzImage, which says it in its header."""
    with image.open("rb") as file:
        head = file.read(0x8000)
    if head[_MAGIC] != b"HdrS":
        raise RunError(f"{image} is no kernel image", hint=_AGAIN)
    start = 0x200 + int.from_bytes(head[_VERSION], "little")
    found = re.match(rb"[\x21-\x7e]+", head[start : start + 256])
    if found is None:
        raise RunError(f"{image} does not say its version", hint=_AGAIN)
    return found[0].decode()


def _file(path: Path) -> Path:
    if not path.is_file():
        raise RunError(f"the build left no {path}", hint=_AGAIN)
    return path


def _ask(program: Path, *words: str) -> str:
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RunError(f"cannot run {program}: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RunError(f"{program} does not run: {said[0]}")
    return done.stdout


def _identity(*files: Path) -> str:
    """A key that changes with what the files are, without reading all of them."""
    found = [path.resolve() for path in files]
    return digest([f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in found])
