# SPDX-License-Identifier: MIT
"""git, called so that nobody's configuration changes what it answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import HostError, RunError

#: who makes the commits that are ours; the developer's own keep their author
WE = "ntbdbg <ntbdbg@localhost>"

#: one moment for all of our commits, so that equal trees give equal commits
EPOCH = "2026-01-01T00:00:00+0000"

_SETTINGS = (
    # In a container the tree may belong to another uid than the one that looks at it.
    *("-c", "safe.directory=*"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.autocrlf=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "gc.auto=0"),
    *("-c", "init.defaultBranch=devenv"),
)

#: of a user's configuration, what could change how a patch looks or where git works
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


@dataclass(frozen=True)
class Git:
    """The repository of one work tree.

    :param tree: its top folder
    :param index: an index of our own instead of the tree's
    :param files: a folder that stands for the work tree
    """

    tree: Path
    index: Path | None = None
    files: Path | None = None

    def __call__(
        self, *words: str | Path, stdin: str | bytes = b"", env: Mapping[str, str] | None = None
    ) -> str:
        """Run ``git WORDS``; gives its output. Raises RunError with what git said."""
        done = self._run([str(word) for word in words], stdin, env or {})
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
            raise RunError(f"git {words[0]} in {self.tree}: {said}")
        return done.stdout.decode(errors="surrogateescape")

    def says(self, *words: str) -> bool:
        """Whether git exits with 0."""
        return self._run(list(words), b"", {}).returncode == 0

    def lines(self, *words: str | Path) -> list[str]:
        """Output that has one thing a line."""
        return self(*words).splitlines()

    def names(self, *words: str) -> list[str]:
        """Output of a command that was told ``-z``."""
        return [name for name in self(*words).split("\0") if name]

    def commit(self, revision: str) -> str | None:
        """The full name of a commit, None where there is none."""
        done = self._run(["rev-parse", "-q", "--verify", revision + "^{commit}"], b"", {})
        return done.stdout.decode().strip() or None

    def _run(
        self, words: list[str], stdin: str | bytes, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        program = shutil.which("git")
        if program is None:
            raise HostError("there is no git here", hint="apt-get install git")
        environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **env}
        environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        if self.index is not None:
            environment["GIT_INDEX_FILE"] = str(self.index)
        where = ["-C", str(self.tree)]
        if self.files is not None:
            where += ["--git-dir", str(self.tree / ".git"), "--work-tree", str(self.files)]
            where[1] = str(self.files)
        raw = stdin.encode(errors="surrogateescape") if isinstance(stdin, str) else stdin
        return subprocess.run(
            [program, *_SETTINGS, *where, *words],
            input=raw,
            capture_output=True,
            env=environment,
            check=False,
        )


def identity(author: str, date: str) -> dict[str, str]:
    """The environment of a commit by `author` (``Name <mail>``), committed by the same."""
    name, _, mail = author.rstrip(">").partition(" <")
    found: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        found |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": mail, f"GIT_{role}_DATE": date}
    return found
