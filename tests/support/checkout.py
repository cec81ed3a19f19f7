# SPDX-License-Identifier: MIT
"""A copy of the checkout, whose qemu_src and yocto_files may be changed, and a developer in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from run.base.config import CHECKOUT

#: the launcher of another checkout than the one whose .venv this is
CALL = "import sys; from run.cli.main import main; sys.exit(main(sys.argv[2:]))"

#: a line of QEMU's trace-events that is ours, and what a developer says of editing it
TRACE = "idt_ntb_db_set"
OLD = "doorbells 0x%08x"
SUBJECT = "hw/ntb: say more of a doorbell"
PATCH = "0002-hw-ntb-say-more-of-a-doorbell.patch"


@dataclass
class CheckoutCopy:
    """What the launcher consists of, elsewhere.

    :param environ: variables for its commands besides our own
    :param prefix: what its command lines begin with
    """

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("run", "ntbdbg", "qemu_src", "yocto_files"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(CHECKOUT / name, self.root / name, ignore=ignore)
        shutil.copy(CHECKOUT / "pyproject.toml", self.root)

    def run(self, *words: str, timeout: float = 900, expect: int = 0) -> str:
        """``python3 run WORDS`` there; gives what it said, on stderr where it is to fail."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "-c", CALL, "run", *words],
            cwd=self.root,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == expect, (words, done.stdout, done.stderr)
        return done.stderr if expect else done.stdout

    def git(self, tree: Path, *words: str) -> str:
        """git, as the developer."""
        who = ["-c", "user.name=Dev", "-c", "user.email=dev@example.com"]
        # No gc in the background, which would still be writing while the test cleans up.
        who += ["-c", "safe.directory=*", "-c", "gc.auto=0"]
        argv = [*self.prefix, "git", *who, "-C", str(tree), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def edit_trace(self, tree: Path, word: str) -> None:
        """Put a word into the trace message in the development tree, and commit that."""
        events = tree / "hw/ntb/trace-events"
        text = events.read_text()
        assert text.count(OLD) == 1
        events.write_text(text.replace(OLD, f"{word} {OLD}"))
        self.git(tree, "commit", "-qam", SUBJECT)

    def ours(self) -> dict[str, bytes]:
        """Every byte that finishing may write."""
        files = [p for n in ("qemu_src", "yocto_files") for p in sorted((self.root / n).rglob("*"))]
        return {str(p.relative_to(self.root)): p.read_bytes() for p in files if p.is_file()}
