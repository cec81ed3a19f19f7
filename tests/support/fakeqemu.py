# SPDX-License-Identifier: MIT
"""A QEMU source of a few lines, an overlay for it, and a development tree of both."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from run.devenv.enter import Entered, enter
from run.devenv.finish import Finished, finish
from run.devenv.git import Git
from run.devenv.series import Series
from run.devenv.state import DevTree
from run.qemu.source import QemuSource
from run.steps.steps import Steps
from run.steps.store import Store, digest_tree

FILES = {
    "hw/misc/meson.build": "first\nsecond\nthird\n",
    "hw/misc/trace-events": '# events\n\n# edu.c\nedu() "x"\n',
    "hw/misc/edu.c": "edu\n",
    "docs/index.rst": "one\ntwo\nthree\n",
    ".gitignore": "/build\n*.o\n",
}

OVERLAY = {
    "hw/misc/idt.c": "line 1\nline 2\nline 3\n",
    "include/idt.h": "#define IDT 1\n",
    "patches/0001-meson.patch": (
        "Build it.\n\n--- a/hw/misc/meson.build\n+++ b/hw/misc/meson.build\n"
        "@@ -1,2 +1,3 @@\n first\n+idt\n second\n"
    ),
    "patches/0002-trace.patch": (
        "Trace it.\n\n--- a/hw/misc/trace-events\n+++ b/hw/misc/trace-events\n"
        '@@ -2,2 +2,4 @@\n \n+idt() "old"\n+\n # edu.c\n'
    ),
}

DEVELOPER = {
    "GIT_AUTHOR_NAME": "Zoë Ütz",
    "GIT_AUTHOR_EMAIL": "zoe@example.com",
    "GIT_COMMITTER_NAME": "Zoë Ütz",
    "GIT_COMMITTER_EMAIL": "zoe@example.com",
}


@dataclass
class Bench:
    """The folders of one test."""

    root: Path

    def __post_init__(self) -> None:
        write(self.source_folder, FILES)
        write(self.qemu_src, OVERLAY)

    @property
    def source_folder(self) -> Path:
        return self.root / "source"

    @property
    def qemu_src(self) -> Path:
        return self.root / "checkout" / "qemu_src"

    @property
    def series(self) -> Series:
        return Series(self.root / "checkout" / "recipes")

    @property
    def tree(self) -> Path:
        return self.root / "build" / "qemu-devenv"

    @property
    def steps(self) -> Steps:
        return Steps(self.root / "logs", Console(quiet=True))

    @property
    def source(self) -> QemuSource:
        key = digest_tree(self.source_folder)
        return QemuSource("QEMU 10.0", key, str(self.source_folder), folder=self.source_folder)

    def enter(self) -> Entered:
        store = Store(self.root / "store")
        return enter(self.steps, store, self.source, self.tree, self.series, self.qemu_src)

    def finish(self, **options: bool) -> Finished:
        tree = DevTree.at(self.tree)
        assert tree is not None
        return finish(self.steps, tree, self.series, self.qemu_src, **options)

    def git(self, *words: str) -> str:
        return Git(self.tree)(*words, env=DEVELOPER)

    def commit(self, message: str, files: dict[str, str | bytes | None]) -> str:
        """Commit files as a developer does; None removes one."""
        write(self.tree, files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def ours(self) -> dict[str, bytes]:
        """Every byte that finishing may write."""
        root = self.root / "checkout"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def built(self) -> dict[str, bytes]:
        """What the quick build would compile: the source with qemu_src over it, by patch(1)."""
        target = self.root / "built"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.source_folder, target)
        shutil.copytree(
            self.qemu_src, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("patches")
        )
        for patch in sorted((self.qemu_src / "patches").glob("*.patch")):
            argv = ["patch", "-sp1", "-F0", "-d", target, "-i", patch]
            subprocess.run(argv, check=True)
        return contents(target)

    def yocto(self) -> dict[str, bytes]:
        """What bitbake would compile: the source with the patches, by patch(1) without fuzz."""
        target = self.root / "yocto"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.source_folder, target)
        for name in self.series.names():
            argv = ["patch", "-sp1", "-F0", "-d", target, "-i", self.series.folder / name]
            subprocess.run(argv, check=True)
        return contents(target)

    def edited(self) -> dict[str, bytes]:
        """What the developer sees."""
        return contents(self.tree)


def write(root: Path, files: dict[str, str | bytes | None] | dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8", newline="")


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(root).parts[:1]
    }
