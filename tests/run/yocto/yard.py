# SPDX-License-Identifier: MIT
"""A place where kas and bitbake run, as a user that is not root, from repositories at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from run.config import CHECKOUT, Paths
from run.yocto.layout import MIRRORS, Layout

NOBODY = 65534

REPOSITORIES = ("openembedded-core.git", "meta-openembedded.git", "bitbake.git")

#: no test reaches out, whatever the recipes say
OFFLINE = 'BB_NO_NETWORK = "1"\nCONNECTIVITY_CHECK_URIS = ""\n'


@dataclass
class Yard:
    """The layer in a git repository of its own, and a build folder beside it.

    :param root: a folder that anybody may enter
    """

    root: Path

    def __post_init__(self) -> None:
        files = self.root / "checkout" / "yocto_files"
        shutil.copytree(CHECKOUT / "yocto_files", files)
        self.layout.build.mkdir(parents=True)
        (self.root / "offline.conf").write_text(OFFLINE)
        # The repositories at hand may be anybody's.
        (self.root / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "layer"]):
            who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
            subprocess.run(["git", *who, "-C", str(self.root / "checkout"), *words], check=True)
        if os.geteuid() == 0:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, NOBODY, NOBODY)

    @property
    def layout(self) -> Layout:
        return Layout(Paths(self.root / "build"))

    def argv(self, *words: str) -> list[str]:
        """kas, for the copy of the layer."""
        program = str(Path(sys.prefix) / "bin" / "kas")
        own = str(self.root / "checkout" / "yocto_files" / "kas.yml")
        words = tuple(own if word.endswith("kas.yml") else word for word in words)
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return [*(drop if os.geteuid() == 0 else []), program, *words]

    @property
    def environ(self) -> dict[str, str]:
        layout = self.layout
        layout_environ = layout.environ()
        own = {
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "HOME": str(self.root),
            "GITCONFIG_FILE": str(self.root / "gitconfig"),
            "DL_DIR": str(self.root / "downloads"),
            "SSTATE_DIR": str(self.root / "sstate"),
        }
        return {**os.environ, **layout_environ, **own}

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


def mirrors() -> str | None:
    """Why the repositories cannot be had; None if they can."""
    folder = os.environ.get(MIRRORS)
    if not folder:
        return f"{MIRRORS} names no folder with {', '.join(REPOSITORIES)}"
    for name in REPOSITORIES:
        if not (Path(folder) / name).is_dir():
            return f"{MIRRORS}={folder} has no {name}"
    return None
