# SPDX-License-Identifier: MIT
"""A place where kas and bitbake run, as a user that is not root, from repositories at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from run.base.config import Paths
from run.yocto.layout import MIRRORS, Layout
from tests.support.checkout import CheckoutCopy

NOBODY = 65534

REPOSITORIES = ("openembedded-core.git", "meta-openembedded.git", "bitbake.git")

#: no test reaches out, whatever the recipes say
OFFLINE = 'BB_NO_NETWORK = "1"\nCONNECTIVITY_CHECK_URIS = ""\n'


def unprivileged() -> list[str]:
    """What a command line begins with, to be run by somebody else than root."""
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return drop if os.geteuid() == 0 else []


@dataclass
class Yard:
    """The layer in a git repository of its own, and a build folder beside it.

    :param root: a folder that anybody may enter
    """

    root: Path

    def __post_init__(self) -> None:
        root = self.checkout.root
        self.layout.build.mkdir(parents=True)
        (self.root / "offline.conf").write_text(OFFLINE)
        # The repositories at hand may be anybody's.
        (self.root / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "layer"]):
            who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
            subprocess.run(["git", *who, "-C", str(root), *words], check=True)
        self.hand_over()

    @cached_property
    def checkout(self) -> CheckoutCopy:
        """The layer, and a launcher of its own."""
        return CheckoutCopy(self.root / "checkout", self.environ, unprivileged())

    def hand_over(self) -> None:
        """Give everything here to that user."""
        if os.geteuid() == 0:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    @property
    def layout(self) -> Layout:
        return Layout(Paths(self.root / "build"))

    def argv(self, *words: str) -> list[str]:
        """kas, for the copy of the layer."""
        program = str(Path(sys.prefix) / "bin" / "kas")
        own = str(self.root / "checkout" / "yocto_files" / "kas.yml")
        words = tuple(own if word.endswith("kas.yml") else word for word in words)
        return [*unprivileged(), program, *words]

    @property
    def environ(self) -> dict[str, str]:
        own = {
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "HOME": str(self.root),
            "GITCONFIG_FILE": str(self.root / "gitconfig"),
            "DL_DIR": str(self.root / "downloads"),
            "SSTATE_DIR": str(self.root / "sstate"),
        }
        return {**os.environ, **self.layout.environ(), **own}

    def run(self, *words: str, timeout: float = 900) -> str:
        """Run kas; gives its output, which a failure shows."""
        done = subprocess.run(
            self.argv(*words),
            env=self.environ,
            cwd=self.root / "build",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout

    def bitbake(self, words: str) -> str:
        """A command in bitbake's environment, without network."""
        return self.run("shell", "kas.yml", "-c", words.replace("bitbake ", self._offline, 1))

    @property
    def _offline(self) -> str:
        return f"bitbake -R {self.root / 'offline.conf'} "


def lacking() -> str | None:
    """Why kas and bitbake cannot be run on repositories at hand; None if they can."""
    folder = os.environ.get(MIRRORS)
    if not folder:
        return f"{MIRRORS} names no folder with {', '.join(REPOSITORIES)}"
    for name in REPOSITORIES:
        if not (Path(folder) / name).is_dir():
            return f"{MIRRORS}={folder} has no {name}"
    # By way of a shell: setpriv itself still has root's rights when it starts a program.
    asked = subprocess.run([*unprivileged(), "sh", "-c", f"{sys.executable} -V"], check=False)
    return f"only root can run {sys.executable}" if asked.returncode else None
