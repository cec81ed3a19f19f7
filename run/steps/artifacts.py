# SPDX-License-Identifier: MIT
"""What a build leaves behind for the commands that start guests.

Each build writes one JSON file last, atomically, so that its presence means the build is whole.
"""

from __future__ import annotations

import json
import os
import typing
from dataclasses import asdict, dataclass, field
from pathlib import Path


class MissingBuild(Exception):
    """A build that a command needs is not there; `what` is ``qemu`` or ``guest``."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(f"no {what} build in {path.parent}; python3 run build {what}")
        self.what = what
        self.path = path


@dataclass(frozen=True)
class _Artifact:
    WHAT: typing.ClassVar[str]

    @classmethod
    def path(cls, build_dir: Path) -> Path:
        """The file that describes this build."""
        return build_dir / cls.WHAT / f"{cls.WHAT}.json"

    @classmethod
    def load(cls, build_dir: Path) -> typing.Self:
        """Read it; raises MissingBuild where there is none or it is of another version."""
        path = cls.path(build_dir)
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise MissingBuild(cls.WHAT, path) from None

    def save(self, build_dir: Path) -> None:
        """Write it atomically; the last step of a build."""
        path = self.path(build_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)


@dataclass(frozen=True)
class QemuInstall(_Artifact):
    """A QEMU with our device. Paths are absolute.

    :param qemu: the qemu-system-x86_64 executable
    :param ivshmem_server: the ivshmem-server executable
    :param firmware: folders for ``-L``, in order
    :param version: what ``qemu --version`` says
    :param key: digest of everything the build was made from
    """

    WHAT: typing.ClassVar[str] = "qemu"

    qemu: str
    ivshmem_server: str
    firmware: list[str]
    version: str
    key: str


@dataclass(frozen=True)
class GuestImage(_Artifact):
    """A bootable guest. Paths are absolute.

    :param release: ``uname -r`` of its kernel
    :param kernel: bzImage
    :param initramfs: cpio archive, compressed; empty if there is a root file system instead
    :param vmlinux: the uncompressed kernel (no DWARF, but BTF)
    :param modules: folder with the modules as the guest has them
    :param key: digest of everything the build was made from
    :param rootfs: ext4 image for a disk; each guest gets a copy
    :param disks: folder for those copies
    :param base: the archive without what goes with this kernel, for other kernels
    :param ntb: whether it has the driver of the NTB port, as far as could be seen
    :param notes: what is to be told whenever it is used
    """

    WHAT: typing.ClassVar[str] = "guest"

    release: str
    kernel: str
    initramfs: str
    vmlinux: str
    modules: str
    key: str
    rootfs: str = ""
    disks: str = ""
    base: str = ""
    ntb: bool = True
    notes: list[str] = field(default_factory=list)
