# SPDX-License-Identifier: MIT
"""A folder of the host in every guest, at /host, by virtio-9p."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError, UsageError

#: by which the guest knows it; run/guest/rootfs/etc/init.d/boot mounts it
TAG = "host"

#: what the guest's kernel needs, built in or as modules
NEEDED = ("9pnet_virtio", "9p")

_READ_ONLY = ":ro"


@dataclass(frozen=True)
class Share:
    """What ``--share`` names: an absolute path, and whether guests may only read."""

    folder: Path
    read_only: bool = False

    @classmethod
    def of(cls, text: str) -> Share:
        """Read ``DIR[:ro]``; raises UsageError unless it is a folder that can be read."""
        read_only = text.endswith(_READ_ONLY)
        folder = Path(text.removesuffix(_READ_ONLY) if read_only else text).expanduser().resolve()
        if not folder.is_dir():
            why = "not a folder" if folder.exists() else "there is no such folder"
            raise UsageError(f"--share={text}: {why}", hint="give DIR, or DIR:ro")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UsageError(f"--share={text}: you may not read it", hint="give a folder of yours")
        return cls(folder, read_only)

    def words(self, bus: str) -> list[str]:
        """QEMU's words; `bus` is the property that puts the device on a bus."""
        # none: files belong to whom QEMU is, and what it may not do is not reported as an error.
        # remap: file systems mounted below would have the same inode numbers.
        path = str(self.folder).replace(",", ",,")
        fsdev = f"local,id={TAG},path={path},security_model=none,multidevs=remap"
        if self.read_only:
            fsdev += ",readonly=on"
        return ["-fsdev", fsdev, "-device", f"virtio-9p-pci,fsdev={TAG},mount_tag={TAG}{bus}"]


def check_kernel(modules: Path, release: str) -> None:
    """Raise RunError if the kernel with these modules cannot have a folder of the host.

    :param modules: its folder of modules
    """
    there = {path.name.partition(".ko")[0].replace("-", "_") for path in modules.rglob("*.ko*")}
    for built_in in modules.glob("modules.builtin"):
        lines = built_in.read_text(errors="replace").splitlines()
        there |= {Path(line).stem.replace("-", "_") for line in lines}
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise RunError(
            f"--share: Linux {release} has no {' and no '.join(missing)}",
            hint="take another kernel, or 'python3 run cp' for single files",
        )
