# SPDX-License-Identifier: MIT
"""The patch series of the Yocto layer: patch files, and the list by which the recipe names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.config import CHECKOUT
from run.base.errors import RunError
from run.devenv.patches import Patch, read, write

RECIPES = CHECKOUT / "yocto_files" / "meta-ntb" / "recipes-devtools" / "qemu"

_HEAD = """\
# The patches of qemu-system-native, in order. Written by `python3 run finish_qemu_devenv`.
"""


@dataclass(frozen=True)
class Series:
    """Patches in a folder beside the list that names them.

    :param recipes: the folder of the .bbappend
    """

    recipes: Path = RECIPES

    @property
    def folder(self) -> Path:
        return self.recipes / "qemu-system-native"

    @property
    def list_file(self) -> Path:
        return self.recipes / "ntb-patches.inc"

    def names(self) -> list[str]:
        """The patches' names, in order."""
        try:
            text = self.list_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return re.findall(r"file://(\S+\.patch)", text)

    def load(self) -> list[Patch]:
        """The patches; raises RunError if one that is listed is not there."""
        try:
            return [Patch(n, read(self.folder / n)) for n in self.names()]
        except OSError as error:
            raise RunError(
                f"{error.filename}: {error.strerror}, but {self.list_file.name} names it",
                hint="git checkout yocto_files brings it back",
            ) from error

    def foreign(self) -> list[Path]:
        """What lies among the patches and is none of the series."""
        if not self.folder.is_dir():
            return []
        known = set(self.names())
        return sorted(path for path in self.folder.iterdir() if path.name not in known)

    def settle(self, fresh: Sequence[Patch]) -> list[Patch]:
        """`fresh`, but with the bytes on disk for each patch that means the same."""
        old = {patch.name: patch for patch in self.load()}
        return [old[p.name] if p.name in old and old[p.name].means(p) else p for p in fresh]

    def changes(self, patches: Sequence[Patch]) -> list[Path]:
        """The files that `save` would write or remove."""
        return [path for path, text in self._wanted(patches).items() if _there(path) != text]

    def save(self, patches: Sequence[Patch]) -> None:
        """Make the folder and the list say `patches`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.changes(patches):
            text = self._wanted(patches)[path]
            if text is None:
                path.unlink()
            else:
                write(path, text)

    def _wanted(self, patches: Sequence[Patch]) -> dict[Path, str | None]:
        """Every file of the series, old and new, and its text; None where it is to go."""
        wanted: dict[Path, str | None] = {self.folder / name: None for name in self.names()}
        wanted |= {self.folder / patch.name: patch.text for patch in patches}
        lines = " \\\n            ".join(f"file://{patch.name}" for patch in patches)
        return {**wanted, self.list_file: f'{_HEAD}SRC_URI += "{lines}"\n'}


def _there(path: Path) -> str | None:
    return read(path) if path.exists() else None
