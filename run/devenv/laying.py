# SPDX-License-Identifier: MIT
"""From QEMU's source in git to a commit that has our device: the series, and qemu_src over it.

Nothing here touches a file of the work tree.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.devenv.git import EPOCH, WE, Git, identity
from run.devenv.patches import Patch, to_commit
from run.qemu import overlay
from run.steps.steps import Step

#: what the first patch says, where there is no series yet
FIRST = """\
hw/misc: an NT port of an IDT switch, joined by ivshmem-server

idt-ntb-ivshmem models one NT port of an IDT 89HPES24NT6AG2. Two to six
QEMUs share the switch by a page of ivshmem-server; memory windows reach
the peer's RAM file.
"""


@dataclass(frozen=True)
class Laid:
    """What came of it.

    :param commit: the series, and what else qemu_src has squashed into its last commit
    :param squashed: names of the files in which qemu_src had more than the series
    """

    commit: str
    squashed: list[str]


def lay(step: Step, git: Git, base: str, series: Sequence[Patch], qemu_src: Path) -> Laid:
    """Commits of `series` on `base`, the last amended so that its files are those of `qemu_src`.

    :raises RunError: a patch does not apply to this QEMU
    """
    parent, commit = base, base
    for patch in series:
        parent, commit = commit, to_commit(git, patch, commit)
    tree = overlay_tree(step, git, base, qemu_src)
    squashed = git.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", commit, tree)
    if squashed:
        commit = _amended(git, commit, parent, tree) if series else _first(git, base, tree)
    return Laid(commit, squashed)


def overlay_tree(step: Step, git: Git, base: str, qemu_src: Path) -> str:
    """The tree object of `base` with `qemu_src` laid over it, as the quick build does."""
    with tempfile.TemporaryDirectory(prefix="ntbdbg-overlay-") as scratch:
        pristine, staged, mine = (Path(scratch) / name for name in ("pristine", "staged", "mine"))
        overlay.snapshot(qemu_src, mine)
        staged.mkdir()
        export(git, base, overlay.named(mine), pristine)
        names = overlay.stage(step, mine, pristine, staged)
        index = Git(git.tree, index=Path(scratch) / "index", files=staged)
        index("read-tree", base)
        index("update-index", "--add", "--remove", "-z", "--stdin", stdin="\0".join(sorted(names)))
        return index("write-tree").strip()


def folder_tree(git: Git, folder: Path) -> str:
    """The tree object of a folder's content."""
    with tempfile.TemporaryDirectory(prefix="ntbdbg-tree-") as scratch:
        mine = Path(scratch) / "mine"
        overlay.snapshot(folder, mine)
        index = Git(git.tree, index=Path(scratch) / "index", files=mine)
        index("add", "-A", "-f", ".")
        return index("write-tree").strip()


def export(git: Git, revision: str, names: Sequence[str], folder: Path) -> None:
    """Write the files `names` of a commit or tree into `folder`, as far as it has them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ntbdbg-export-") as scratch:
        mine = Git(git.tree, index=Path(scratch) / "index", files=folder)
        mine("read-tree", revision)
        there = set(mine.names("ls-files", "-z"))
        wanted = [name for name in names if name in there]
        if wanted:
            mine("checkout-index", "-f", "-z", "--stdin", stdin="\0".join(wanted))


def _first(git: Git, base: str, tree: str) -> str:
    who = identity(WE, EPOCH)
    return git("commit-tree", tree, "-p", base, stdin=FIRST, env=who).strip()


def _amended(git: Git, commit: str, parent: str, tree: str) -> str:
    author, date, message = git("log", "-1", "--format=%an <%ae>%n%aI%n%B", commit).split("\n", 2)
    words = message.rstrip() + "\n"
    return git("commit-tree", tree, "-p", parent, stdin=words, env=identity(author, date)).strip()
