# SPDX-License-Identifier: MIT
"""Finishing: the tree's commits become the layer's patches, its files those of qemu_src."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError
from run.devenv.git import Git
from run.devenv.laying import folder_tree
from run.devenv.patches import STATUS, Patch, from_commit, to_commit
from run.devenv.series import Series
from run.devenv.state import BASE, QEMU_SRC, DevTree, listed
from run.devenv.writeback import write_back
from run.qemu import overlay
from run.steps.steps import Steps


@dataclass(frozen=True)
class Finished:
    """What finishing changed, or would.

    :param commits: how many there are
    :param files: patches, their list, and files of qemu_src that were written or removed
    """

    commits: int
    files: list[Path]


def finish(
    steps: Steps, tree: DevTree, series: Series, qemu_src: Path, *, dry_run: bool = False
) -> Finished:
    """Take over the commits; all or nothing, and never a change in the tree itself.

    :raises RunError: work is not committed, both sides were edited, or commits are no patches
    """
    tree.check_clean()
    if foreign := series.foreign():
        raise RunError(
            f"{series.folder}: not of the series: {listed([path.name for path in foreign])}",
            hint="move it away; patches come from commits",
        )
    git, base, head = tree.git, tree.get(BASE), tree.get("HEAD")
    with (
        steps.step("devenv: commits to patches") as step,
        tempfile.TemporaryDirectory(prefix="ntbdbg-finish-") as scratch,
    ):
        commits = tree.commits()
        patches = [from_commit(git, commit, n) for n, commit in enumerate(commits, 1)]
        patches = series.settle(patches)
        _check_patches(git, base, commits, patches)
        fresh = Path(scratch) / "qemu_src"
        write_back(step, git, base, head, qemu_src, fresh)
        names = _changes(tree, qemu_src, fresh)
        files = [*series.changes(patches), *(qemu_src / name for name in names)]
        if not dry_run:
            series.save(patches)
            _carry(fresh, qemu_src, names)
            tree.settle(head, folder_tree(git, qemu_src))
    return Finished(len(commits), files)


def _check_patches(git: Git, base: str, commits: Sequence[str], patches: Sequence[Patch]) -> None:
    """The patches must give back each commit: its files, and every word of its message."""
    again = base
    for patch, commit in zip(patches, commits, strict=True):
        again = to_commit(git, patch, again)
        if _tree(git, again) != _tree(git, commit):
            raise RunError(f"{patch.name} does not give back its commit {commit[:12]}")
        said, read = (git("log", "-1", "--format=%B", c).rstrip() for c in (commit, again))
        if read not in (said, f"{said}\n\n{STATUS}"):
            raise RunError(
                f"{patch.name}: a patch cannot carry the message of commit {commit[:12]}",
                hint="reword it: git commit --amend, or git rebase -i",
            )


def _tree(git: Git, commit: str) -> str:
    return git("rev-parse", f"{commit}^{{tree}}").strip()


def _changes(tree: DevTree, qemu_src: Path, fresh: Path) -> list[str]:
    """Names in which `fresh` differs from qemu_src; raises RunError if both sides were edited."""
    git = tree.git
    before, now, then = (
        f"{tree.get(QEMU_SRC)}^{{tree}}",
        folder_tree(git, qemu_src),
        folder_tree(git, fresh),
    )

    def between(one: str, other: str) -> set[str]:
        return set(git.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", one, other))

    wanted = between(now, then)
    if both := sorted(between(before, now) & wanted):
        raise RunError(
            f"{qemu_src}: edited since the tree was entered: {listed(both)}",
            hint="bring that into the tree and commit it, or take it back, then finish again",
        )
    return sorted(wanted)


def _carry(fresh: Path, qemu_src: Path, names: Sequence[str]) -> None:
    for name in names:
        if (fresh / name).is_file():
            overlay.put(fresh / name, qemu_src / name)
        else:
            (qemu_src / name).unlink()
            parent = (qemu_src / name).parent
            while parent != qemu_src and not any(parent.iterdir()):
                parent.rmdir()
                parent = parent.parent
