# SPDX-License-Identifier: MIT
"""What a git tree of QEMU remembers of its entering, and what in it would be lost or left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError
from run.devenv.git import EPOCH, WE, Git, identity

#: QEMU's source before anything of ours
BASE = "refs/ntbdbg/base"
#: where HEAD was when qemu_src and the patches last said the same as the tree
DONE = "refs/ntbdbg/done"
#: a commit of qemu_src as it was then
QEMU_SRC = "refs/ntbdbg/qemu_src"
#: former results of entering
EARLIER = "refs/ntbdbg/earlier"

BRANCH = "devenv"

#: files of an operation that git has begun and not ended, and what it is
_UNDER_WAY = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}

_SHOWN = 10


@dataclass(frozen=True)
class DevTree:
    """A git tree that was entered."""

    git: Git

    @classmethod
    def at(cls, tree: Path) -> DevTree | None:
        """The tree in that folder, None if there is none that was entered."""
        git = Git(tree)
        return cls(git) if (tree / ".git").exists() and git.commit(BASE) else None

    @property
    def tree(self) -> Path:
        return self.git.tree

    def get(self, ref: str) -> str:
        """What one of our references names."""
        found = self.git.commit(ref)
        if found is None:
            raise RunError(f"{self.tree} has lost {ref}", hint="enter anew beside it")
        return found

    @property
    def source(self) -> str:
        """Key of the source it was made from; what `begin` was given."""
        return self.git("log", "-1", "--format=%b", self.get(BASE)).strip()

    def begin(self, name: str, key: str) -> str:
        """Commit all files as the base; gives the commit."""
        self.git("init", "-q")
        self.git("add", "-A", "-f", ".")
        message = f"{name}\n\n{key}\n"
        tree = self.git("write-tree").strip()
        return self.git("commit-tree", tree, stdin=message, env=identity(WE, EPOCH)).strip()

    def settle(self, head: str, qemu_src_tree: str) -> None:
        """Remember that the commit `head` and qemu_src say the same."""
        who = identity(WE, EPOCH)
        words = "qemu_src\n"
        known = self.git("commit-tree", qemu_src_tree, stdin=words, env=who).strip()
        self.git("update-ref", DONE, head)
        self.git("update-ref", QEMU_SRC, known)

    def switch(self, commit: str) -> None:
        """Make `commit` what is checked out; where HEAD was stays reachable."""
        old = self.git.commit("HEAD")
        if old is not None and old != commit:
            self.git("update-ref", f"{EARLIER}/{old[:12]}", old)
        self.git("checkout", "-q", "-f", "-B", BRANCH, commit)

    # -- what stands in the way ------------------------------------------------------------

    def check_clean(self) -> None:
        """Raise RunError unless all work is committed and no operation is under way."""
        for name, what in _UNDER_WAY.items():
            path = self.tree / self.git("rev-parse", "--git-path", name).strip()
            if path.exists():
                raise RunError(
                    f"{self.tree}: a {what} is under way",
                    hint=f"git {what} --continue or --abort, then again",
                )
        states = self.git.names("status", "--porcelain", "-z", "--no-renames", "-uall")
        foreign = [line[3:] for line in states if line.startswith("??")]
        dirty = [line[3:] for line in states if not line.startswith("??")]
        if dirty:
            raise RunError(
                f"{self.tree}: not committed: {listed(dirty)}", hint="commit it, or git stash"
            )
        if foreign:
            raise RunError(
                f"{self.tree}: not known to git: {listed(foreign)}",
                hint="git add and commit what belongs there, remove the rest",
            )

    def commits(self) -> list[str]:
        """Our commits and the developer's, oldest first; raises RunError if they are no series."""
        base = self.get(BASE)
        if not self.git.says("merge-base", "--is-ancestor", base, "HEAD"):
            raise RunError(
                f"{self.tree}: HEAD no longer stands on QEMU's source",
                hint=f"git rebase --onto {BASE}, or git checkout {BRANCH}; git reflog has the past",
            )
        if merges := self.git.lines("log", "--merges", "--format=%h %s", f"{base}..HEAD"):
            raise RunError(
                f"{self.tree}: a merge is no patch: {listed(merges)}", hint=f"git rebase {BASE}"
            )
        return self.git.lines("rev-list", "--reverse", "--topo-order", f"{base}..HEAD")

    def unfinished(self) -> list[str]:
        """Commits that qemu_src and the patches know nothing of, as ``hash subject``."""
        done = self.get(DONE)
        if self.git.commit("HEAD") == done:
            return []
        lines = self.git.lines("log", "--format=%h %s", f"{done}..HEAD")
        return lines or [f"HEAD is not at {done[:12]}"]


def listed(names: list[str]) -> str:
    """Names in a message, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
