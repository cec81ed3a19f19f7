# SPDX-License-Identifier: MIT
"""Where QEMU's source comes from: Debian's package, a tarball, or a folder that somebody edits."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError, UsageError
from run.debian.apt import Apt
from run.qemu.overlay import NOT_SOURCE
from run.steps.steps import Step, Steps
from run.steps.store import Store, digest_tree

#: the kind of folder in the cache that holds unpacked sources
SOURCES = "qemu-source"

#: a file that every QEMU source tree has
_LANDMARK = Path("hw/misc/meson.build")


@dataclass(frozen=True)
class QemuSource:
    """A QEMU source tree before our overlay.

    :param name: for people
    :param content: changes with every byte of it
    :param line: what stays the same while it is edited; builds of one line are incremental
    :param extract: fills an empty folder with it; None for a living folder
    :param folder: the living folder
    :param configure: flags that only this source wants
    """

    name: str
    content: str
    line: str
    extract: Callable[[Step, Path], None] | None = None
    folder: Path | None = None
    configure: tuple[str, ...] = ()

    def check_unchanged(self) -> None:
        """Raise RunError if the living folder was edited since this was made."""
        if self.folder is None or digest_tree(self.folder, skip=NOT_SOURCE) == self.content:
            return
        raise RunError(f"{self.folder} changed while it was being copied", hint="build again")


def debian_source(text: str) -> tuple[str, str] | None:
    """Suite and version (which may be empty) of ``debian:SUITE[/VERSION]``; None for a path."""
    match = re.fullmatch(r"debian:([\w-]+)(?:/([\w.+~:-]+))?", text)
    if match is None and text.startswith("debian:"):
        raise UsageError(
            f"--qemu-source: {text!r:.60} names no suite of Debian",
            hint="write debian:SUITE or debian:SUITE/VERSION, for example debian:sid/10.2",
        )
    return (match[1], match[2] or "") if match else None


def of_debian(apt: Apt, series: str = "") -> QemuSource:
    """The source package in `apt`'s release; nothing is downloaded before `extract`.

    :param series: how its version begins (``10.2``); without it the newest
    """
    version, sha256 = apt.source_identity("qemu", series)

    def extract(step: Step, target: Path) -> None:
        dsc = apt.download_source(step, "qemu", series)
        # apt has checked the .dsc, which has the hashes that dpkg-source checks all files by. It
        # applies Debian's patches too: without them configure stops at firmware that is left out.
        target.rmdir()
        step.run(["dpkg-source", "--no-copy", "--extract", dsc, target])

    # All is there; whatever configure would get from elsewhere is a mistake.
    flags = ("--disable-download",)
    return QemuSource(f"Debian's QEMU {version}", sha256, sha256, extract, configure=flags)


def of_path(path: Path) -> QemuSource:
    """A folder or a tarball, as named by ``--qemu-source``.

    :raises UsageError: it is neither, or not QEMU
    """
    if path.is_dir():
        _check(path, path)
        where = str(path.resolve())
        content = digest_tree(path, skip=NOT_SOURCE)
        return QemuSource(where, content, where, folder=path.resolve())
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"--qemu-source: {path}: {error.strerror}", hint="name a QEMU source folder or tarball"
        ) from None

    def extract(step: Step, target: Path) -> None:
        step.run(["tar", "-x", "-f", path.resolve(), "-C", target])
        _unwrap(target)
        _check(target, path)

    return QemuSource(path.name, content, content, extract)


def pristine(steps: Steps, store: Store, source: QemuSource) -> Path:
    """A folder with the source as it came, never to be written to."""
    if source.folder is not None:
        return source.folder
    extract = source.extract
    assert extract is not None

    def fill(folder: Path) -> None:
        with steps.step("qemu: download and unpack the source") as step:
            extract(step, folder)

    return store.make(SOURCES, source.line, fill)


def _unwrap(target: Path) -> None:
    """Most tarballs wrap everything into one folder; take what is in it."""
    if (target / _LANDMARK).is_file():
        return
    inside = list(target.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        wrapped = inside[0].rename(target / ".wrapped")
        for child in wrapped.iterdir():
            shutil.move(child, target / child.name)
        wrapped.rmdir()


def _check(tree: Path, named: Path) -> None:
    if not (tree / _LANDMARK).is_file():
        raise UsageError(
            f"--qemu-source: {named} is no QEMU source, it has no {_LANDMARK}",
            hint="name a QEMU source folder or tarball",
        )
