# SPDX-License-Identifier: MIT
"""Entering: a git tree of QEMU's source with our device in it, ready to be edited."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import HostError, RunError
from run.devenv.git import Git
from run.devenv.laying import folder_tree, lay
from run.devenv.patches import from_commit
from run.devenv.series import Series
from run.devenv.state import BASE, DevTree, listed
from run.qemu.overlay import NOT_SOURCE
from run.qemu.source import QemuSource, pristine
from run.steps.steps import Steps
from run.steps.store import Store

#: parts of a source folder that a developer has no use for: quilt's copies of all patched files
_LEFT_OUT = {*NOT_SOURCE, ".pc"}

FINISH = "python3 run finish_qemu_devenv"

#: bytes of a tree with its git
ROOM = 1 << 30


@dataclass(frozen=True)
class Entered:
    """What entering came to.

    :param squashed: files of which qemu_src knew more than the patches
    :param aside: where the tree of another source was put
    :param fresh: whether anything changed
    """

    tree: Path
    squashed: list[str]
    aside: Path | None = None
    fresh: bool = True


def enter(
    steps: Steps, store: Store, source: QemuSource, tree: Path, series: Series, qemu_src: Path
) -> Entered:
    """Make the folder `tree` a git tree of `source` with the device, or bring it up to date.

    :raises RunError: it holds work that `finish` has not seen
    """
    old = examine(tree)
    if old is not None and old.source != source.content:
        aside = _free_name(tree)
        tree.rename(aside)
        entered = _make(steps, store, source, tree, series, qemu_src)
        return Entered(tree, entered.squashed, aside)
    if old is None:
        return _make(steps, store, source, tree, series, qemu_src)
    return renew(steps, old, series, qemu_src)


def renew(steps: Steps, old: DevTree, series: Series, qemu_src: Path) -> Entered:
    """Lay series and qemu_src over the base of a tree that holds nothing else."""
    with steps.step("devenv: patches and qemu_src") as step:
        laid = lay(step, old.git, old.get(BASE), series.load(), qemu_src)
        fresh = not _says_the_same(old, laid.commit, series)
        if fresh:
            old.switch(laid.commit)
        old.settle(old.get("HEAD"), folder_tree(old.git, qemu_src))
    return Entered(old.tree, laid.squashed, fresh=fresh)


def _says_the_same(old: DevTree, commit: str, series: Series) -> bool:
    """Whether the tree has these files already, by commits that are the series."""
    if old.git("diff-tree", "-r", "HEAD", commit):
        return False
    own = [from_commit(old.git, c, n) for n, c in enumerate(old.commits(), 1)]
    return series.settle(own) == series.load()


def examine(tree: Path, *, finish: str = FINISH) -> DevTree | None:
    """The tree that is there, without work that would be lost sight of.

    :param finish: the command that takes over what was committed there
    """
    if not tree.exists():
        return None
    old = DevTree.at(tree)
    if old is None:
        raise RunError(f"{tree} is there and was not made by us", hint="move it away")
    old.check_clean()
    if work := old.unfinished():
        raise RunError(
            f"{tree} has commits that were not finished: {listed(work)}",
            hint=f"'{finish}' takes them over; to start anew beside them, move the folder away",
        )
    return old


def _make(
    steps: Steps, store: Store, source: QemuSource, tree: Path, series: Series, qemu_src: Path
) -> Entered:
    """In a folder beside it first, so that whatever has the name is whole."""
    origin = pristine(steps, store, source)
    tree.parent.mkdir(parents=True, exist_ok=True)
    _check_room(tree.parent)
    scratch = tree.with_name(f".{tree.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    with steps.step("devenv: QEMU's source into git"):
        # Bytes of its own, no hard links: an editor writes into files.
        shutil.copytree(origin, scratch, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        made = DevTree(Git(scratch))
        base = made.begin(source.name, source.content)
    with steps.step("devenv: patches and qemu_src") as step:
        laid = lay(step, made.git, base, series.load(), qemu_src)
        made.git("update-ref", BASE, base)
        made.switch(laid.commit)
        made.settle(laid.commit, folder_tree(made.git, qemu_src))
    scratch.rename(tree)
    return Entered(tree, laid.squashed)


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise HostError(
            f"{folder} has {free >> 20} MiB free, QEMU's source in git takes {ROOM >> 20}",
            hint="free some, or name another --build-dir",
        )


def _free_name(tree: Path) -> Path:
    number = 1
    while (name := tree.with_name(f"{tree.name}.{number}")).exists():
        number += 1
    return name
