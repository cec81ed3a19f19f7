# SPDX-License-Identifier: MIT
"""Finished builds, kept between checkouts under a key of everything they were made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from run.base.locks import exclusive

#: digits of a key; 128 bits never meet by chance
_KEY_DIGITS = 32


def digest(parts: Iterable[str | bytes]) -> str:
    """One key for all `parts`; their order and borders count."""
    whole = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        whole.update(len(raw).to_bytes(8, "little") + raw)
    return whole.hexdigest()[:_KEY_DIGITS]


def digest_tree(root: Path, *, skip: Collection[str] = ()) -> str:
    """Key of a folder's content: names, modes, bytes and link targets, but no times.

    :param skip: names right below `root` that do not count
    """
    parts: list[str | bytes] = []
    for top in sorted(root.iterdir()):
        if top.name not in skip:
            for path in (top, *sorted(top.rglob("*") if not top.is_symlink() else ())):
                parts += _traits(root, path)
    return digest(parts)


def _traits(root: Path, path: Path) -> list[str | bytes]:
    if path.name.endswith(".pyc") or path.name == "__pycache__":
        return []
    name = str(path.relative_to(root))
    if path.is_symlink():
        return [name, str(path.readlink())]
    if path.is_file():
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        return [name, oct(path.stat().st_mode & 0o111), content]
    return [name]


class Store:
    """Folders named ``KIND/KEY`` under `root`; one that exists is whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, kind: str, key: str) -> Path | None:
        """The finished build, or None."""
        path = self._root / kind / key
        if not path.is_dir():
            return None
        os.utime(path)  # tells `prune` that it is in use
        return path

    def forget(self, kind: str, key: str) -> None:
        """Remove a build, so that the next `make` makes it anew."""
        with exclusive(self._root / kind / f"{key}.lock"):
            _discard(self._root / kind / key)

    def prune(self, kind: str, keep: int) -> None:
        """Remove all builds of a kind but the `keep` last used."""
        folder = self._root / kind
        builds = [path for path in folder.glob("*") if path.is_dir() and not path.suffix]
        for path in sorted(builds, key=lambda path: path.stat().st_mtime)[:-keep]:
            self.forget(kind, path.name)

    def make(
        self,
        kind: str,
        key: str,
        fill: Callable[[Path], None],
        *,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Path:
        """The finished build; `fill` makes it in an empty folder if there is none yet.

        A folder gets its name only when `fill` has returned. Two processes that want the same
        build wait for each other, and the second finds it done.
        """
        if (path := self.find(kind, key)) is not None:
            return path
        with exclusive(self._root / kind / f"{key}.lock", on_wait=on_wait):
            path = self._root / kind / key
            if path.is_dir():
                return path
            scratch = path.with_suffix(".partial")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            fill(scratch)
            scratch.rename(path)
        return path


def replace_folder(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`; whoever looks meanwhile sees the old one or the new one."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh, symlinks=True)
    _discard(target)
    fresh.rename(target)


def _discard(folder: Path) -> None:
    """Remove a folder; its name goes first, so that half of it is never met under that name."""
    if not folder.exists():
        return
    dying = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(dying)
    shutil.rmtree(dying, ignore_errors=True)
