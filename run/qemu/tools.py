# SPDX-License-Identifier: MIT
"""What the build needs besides the host's packages: a meson that is new enough, and firmware.

Both come from the same signed Debian release as the source. The firmware must match QEMU: with
SeaBIOS 1.16.2, QEMU 10.0 hangs on q35 before the first byte of output.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from run.debian.apt import Apt, Package
from run.debian.mirror import os_release
from run.guest.unpack import unpack
from run.steps.steps import Step

MESON_PACKAGES = ("meson", "python3-pycotap")

#: package -> what of it a PC needs, and the folder that QEMU searches
FIRMWARE = {
    "seabios": (("./usr/share/seabios/*",), "seabios"),
    "qemu-system-data": (
        ("./usr/share/qemu/*.bin", "./usr/share/qemu/qboot.rom", "./usr/share/qemu/keymaps/*"),
        "qemu",
    ),
    "ipxe-qemu": (("./usr/share/qemu/*.rom",), "ipxe"),
}

_LIBRARIES = ("glib-2.0", "pixman-1", "slirp", "libfdt", "libattr")


def toolchain() -> list[str]:
    """Everything of this host that a build depends on."""
    release = os_release()
    return [
        platform.machine(),
        f"{release.get('ID')} {release.get('VERSION_ID')}",
        f"python {sys.version_info[0]}.{sys.version_info[1]}",
        " ".join(platform.libc_ver()),
        *(_first_line([tool, "--version"]) for tool in ("gcc", "ld", "ninja")),
        *(_first_line(["pkg-config", "--modversion", name]) for name in _LIBRARIES),
    ]


def make_python(step: Step, debs: Sequence[Path], folder: Path) -> Path:
    """A Python environment with meson in it, for QEMU's configure; gives its interpreter."""
    python = folder / "bin" / "python"
    done = folder / "complete"
    if done.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    step.run([sys.executable, "-m", "venv", folder])
    packages = next(folder.glob("lib/python3*/site-packages"))
    for deb in debs:
        unpack(step, deb, folder / "unpacked", ["./usr/lib/python3/dist-packages/*"])
    shutil.copytree(folder / "unpacked/usr/lib/python3/dist-packages", packages, dirs_exist_ok=True)
    shutil.rmtree(folder / "unpacked")
    done.touch()
    return python


def unpack_firmware(step: Step, apt: Apt, packages: Sequence[Package], target: Path) -> None:
    """Fill `target` with a subfolder for each package of `FIRMWARE`."""
    for deb, package in zip(apt.download(step, packages), packages, strict=True):
        patterns, name = FIRMWARE[package.name]
        scratch = target / ".unpacked"
        unpack(step, deb, scratch, patterns)
        # patterns share the folder in front of their first wildcard
        inside = scratch / Path(patterns[0]).parent
        shutil.copytree(inside, target / name, symlinks=True)
        shutil.rmtree(scratch)


def firmware_folders(root: Path) -> list[str]:
    """Folders for ``-L`` below `root`, in order."""
    return [str(root / name) for _, name in FIRMWARE.values()]


def _first_line(argv: list[str]) -> str:
    """What a tool says of itself; its absence is a version too."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return f"no {argv[0]}"
    return f"{' '.join(argv)}: {done.stdout.partition(chr(10))[0]}"
