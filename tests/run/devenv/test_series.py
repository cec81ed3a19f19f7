# SPDX-License-Identifier: MIT
"""The patches of the Yocto layer and qemu_src say the same, on every QEMU that is at hand.

After an edit in qemu_src: python3 run enter_qemu_devenv, then python3 run finish_qemu_devenv.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from run.base.config import Paths
from run.base.errors import RunError
from run.devenv.git import EPOCH, WE, Git, identity
from run.devenv.laying import lay
from run.devenv.series import Series
from run.qemu import overlay, wrynose
from run.qemu.build import OVERLAY, sources
from run.qemu.source import of_debian, pristine
from run.steps.steps import Step, Steps
from run.steps.store import Store

#: folders with QEMU source trees, separated by colons, that the patches shall fit too
TREES = os.environ.get("NTB_QEMU_TREES", "")

MEND = "python3 run enter_qemu_devenv; python3 run finish_qemu_devenv"

_HUNK = re.compile(r"^@@ -\S+ \+\S+ @@\n((?:[ +-].*\n)+)", re.MULTILINE)


def what_the_hunks_stand_on(qemu_src: Path) -> Iterator[tuple[str, str]]:
    """Name and text of files that consist of just the lines that qemu_src's patches expect."""
    for patch in sorted((qemu_src / overlay.PATCHES).glob("*.patch")):
        parts = re.split(r"^(?=--- a/)", patch.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for part in parts[1:]:
            (name,) = set(overlay.touched(part))
            hunks = [
                "".join(line[1:] + "\n" for line in hunk.splitlines() if line[0] != "+")
                for hunk in _HUNK.findall(part)
            ]
            yield name, "a line between\n".join(hunks)


def base_of(tree: Path) -> tuple[Git, str]:
    """A repository of the files in `tree`."""
    git = Git(tree)
    git("init", "-q")
    git("add", "-A", "-f", ".")
    who = identity(WE, EPOCH)
    return git, git("commit-tree", git("write-tree").strip(), stdin="base\n", env=who).strip()


def check(tree: Path, scratch: Path) -> None:
    """On `tree`, the patches leave nothing for qemu_src to add; patch(1) wants no fuzz."""
    git, base = base_of(tree)
    step = Step("series", scratch / "log", None, 0)
    assert lay(step, git, base, Series().load(), OVERLAY).squashed == [], MEND
    for name in Series().names():
        argv = ["patch", "-p1", "-F0", "--dry-run", "-d", tree, "-i", Series().folder / name]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        subprocess.run([*argv[:3], *argv[4:], "-s"], check=True)


def check_real(source: Path, scratch: Path) -> None:
    """The same on the files of a real tree that patches touch."""
    tree = scratch / "tree"
    for name in overlay.named(OVERLAY):
        if (source / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, tree / name)
    check(tree, scratch)


def test_patches_and_qemu_src_say_the_same(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name, text in what_the_hunks_stand_on(OVERLAY):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")
    assert len(list(tree.rglob("*"))) > 5
    check(tree, tmp_path)


def test_each_file_of_qemu_is_in_one_patch() -> None:
    names: list[str] = []
    for patch in (OVERLAY / overlay.PATCHES).glob("*.patch"):
        names += set(overlay.touched(patch.read_text(encoding="utf-8")))
    assert len(names) == len(set(names))


def test_nothing_lies_among_the_patches() -> None:
    assert Series().names()
    assert Series().foreign() == []


def test_the_series_fits_the_source_of_the_quick_build(tmp_path: Path) -> None:
    paths = Paths()
    apt = sources(paths, None)
    source = pristine(Steps(tmp_path), Store(paths.cache / "builds"), of_debian(apt))
    assert (source / "VERSION").read_text().startswith("10.0.")
    check_real(source, tmp_path)


def test_the_series_fits_the_source_of_yocto(tmp_path: Path) -> None:
    """QEMU 10.2, as Debian has it."""
    try:
        with wrynose.compilation(Steps(tmp_path), Paths(), jobs=1) as there:
            if not there.has_source:
                pytest.skip("no source of QEMU 10.2 in the cache: 'python3 run test' fetches it")
            source = there.fetch_source()
    except RunError as error:
        pytest.skip(f"no source of QEMU 10.2: {error}")
    assert (source / "VERSION").read_text().startswith("10.2.")
    check_real(source, tmp_path)


@pytest.mark.skipif(not TREES, reason="NTB_QEMU_TREES names no further QEMU sources")
def test_the_series_fits_other_versions(tmp_path: Path) -> None:
    for number, tree in enumerate(TREES.split(":")):
        (tmp_path / str(number)).mkdir()
        check_real(Path(tree), tmp_path / str(number))
