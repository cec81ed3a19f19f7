# SPDX-License-Identifier: MIT
"""Which machines QEMU's targets besides the PC's have: `virt` alone.

All their other boards are a fifth of what there is to compile. QEMU takes what to leave out from
a file in its source tree, ``configs/devices/TARGET/NAME.mak``.
"""

from __future__ import annotations

import re
from pathlib import Path

#: NAME of our files
NAME = "ntb"

#: architecture -> the folder of its boards, and the one that is wanted
BOARDS = {"aarch64": ("arm", "ARM_VIRT"), "riscv64": ("riscv", "RISCV_VIRT")}

#: what configure is told
FLAGS = tuple(f"--with-devices-{arch}={NAME}" for arch in BOARDS)

#: one `config` of Kconfig, with the lines that belong to it
_CONFIG = re.compile(r"^config (\w+)\n((?:[ \t]+.*\n|\n)*)", re.MULTILINE)

#: boards are on unless somebody says no; what only some board needs is not
_IS_BOARD = re.compile(r"^\s+default y$", re.MULTILINE)

_SELECT = re.compile(r"^\s+select (\w+)", re.MULTILINE)


def stage(source: Path, stage_dir: Path) -> set[str]:
    """Write our files for the QEMU at `source` into `stage_dir`; gives their relative paths.

    Boards are read from the source: a name that this QEMU does not know would end configure.
    """
    names = set()
    for arch, (folder, wanted) in BOARDS.items():
        name = f"configs/devices/{arch}-softmmu/{NAME}.mak"
        target = stage_dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_choice(source, folder, wanted), encoding="utf-8")
        names.add(name)
    return names


def _choice(source: Path, folder: str, wanted: str) -> str:
    # What the processor itself needs cannot be left out.
    kept = {wanted, *_SELECT.findall(_text(source / "target" / folder / "Kconfig"))}
    others = [n for n in boards(_text(source / "hw" / folder / "Kconfig")) if n not in kept]
    return "\n".join([f"CONFIG_{wanted}=y", *(f"CONFIG_{name}=n" for name in others), ""])


def boards(kconfig: str) -> list[str]:
    """The boards of a Kconfig file's text."""
    return [match[1] for match in _CONFIG.finditer(kconfig) if _IS_BOARD.search(match[2])]


def _text(kconfig: Path) -> str:
    return kconfig.read_text(encoding="utf-8") if kconfig.is_file() else ""
