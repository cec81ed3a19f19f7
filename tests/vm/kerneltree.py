# SPDX-License-Identifier: MIT
"""A kernel's build folder, laid out from what a guest was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

from run.base.config import Paths
from run.guest.choice import DebianKernel
from run.steps.artifacts import GuestImage
from tests.vm.support import BUILD_DIR


def image_of(kernel: DebianKernel) -> GuestImage:
    """The guest with that kernel; raises MissingBuild."""
    return GuestImage.load(kernel.home(Paths(BUILD_DIR)).build)


def lay_out(folder: Path, kernel: DebianKernel) -> Path:
    """Image, vmlinux and modules where `make` leaves them."""
    guest = image_of(kernel)
    (folder / "arch/x86/boot").mkdir(parents=True)
    shutil.copy(guest.kernel, folder / "arch/x86/boot/bzImage")
    shutil.copy(guest.vmlinux, folder / "vmlinux")
    shutil.copytree(Path(guest.modules) / "kernel", folder, dirs_exist_ok=True)
    shutil.copytree(Path(guest.modules) / "extra", folder / "drivers/ntb")
    return folder
