# SPDX-License-Identifier: MIT
"""The overlay over a source tree: only what differs is written, and all of it can be taken back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from run.base.errors import RunError
from run.qemu import overlay
from run.steps.steps import Step, StepError

OLD = 1_000_000_000

PATCH = """\
Build it.

--- a/hw/misc/meson.build
+++ b/hw/misc/meson.build
@@ -1,2 +1,3 @@
 first
+ours
 last
"""


PATCHED = "--- a/hw/core/qdev.c\n+++ b/hw/core/qdev.c\n@@ -1 +1,2 @@\n first\n+ours\n"


def test_what_the_device_consists_of(tmp_path: Path) -> None:
    """Told by what is there, whatever it is called."""
    for name in ("hw/ntb/port.c", "hw/ntb/port.h", "hw/ntb/meson.build", "tests/qtest/port.c"):
        Tree.write(tmp_path, name, "")
    Tree.write(tmp_path, "patches/0001.patch", PATCHED)
    assert overlay.device_sources(tmp_path) == ["hw/core/qdev.c", "hw/ntb/port.c"]


class Tree:
    """A small source, an overlay, and the tree that is built."""

    def __init__(self, root: Path) -> None:
        self.pristine, self.overlay, self.tree = (root / n for n in ("pristine", "over", "tree"))
        self._stage, self._log = root / "stage", root / "log"
        self.write(self.pristine, "hw/misc/meson.build", "first\nlast\n")
        self.write(self.pristine, "hw/misc/edu.c", "edu\n")
        self.write(self.pristine, "configure", "#!/bin/sh\n").chmod(0o755)
        self.write(self.overlay, "hw/misc/idt.c", "idt\n")
        self.write(self.overlay, "patches/0001.patch", PATCH)

    @staticmethod
    def write(root: Path, name: str, text: str) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (OLD, OLD))
        return path

    def read(self, name: str) -> str:
        return (self.tree / name).read_text()

    def time(self, name: str) -> float:
        return (self.tree / name).stat().st_mtime

    def stage(self) -> set[str]:
        shutil.rmtree(self._stage, ignore_errors=True)
        self._stage.mkdir()
        step = Step("overlay", self._log, None, 0)
        return overlay.stage(step, self.overlay, self.pristine, self._stage)

    def sync(self) -> list[str]:
        """Bring the tree up to date; gives what changed."""
        names = self.stage()
        overlay.plant(self.pristine, self.tree, link=True)
        return overlay.sync(self.pristine, self._stage, names, self.tree)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_files_are_added_and_patches_applied(tree: Tree) -> None:
    assert tree.sync() == ["hw/misc/idt.c", "hw/misc/meson.build"]
    assert tree.read("hw/misc/idt.c") == "idt\n"
    assert tree.read("hw/misc/meson.build") == "first\nours\nlast\n"
    assert tree.read("hw/misc/edu.c") == "edu\n"
    assert not (tree.tree / "patches").exists()
    assert os.access(tree.tree / "configure", os.X_OK)


def test_the_pristine_source_stays_as_it_was(tree: Tree) -> None:
    tree.sync()
    assert (tree.pristine / "hw/misc/meson.build").read_text() == "first\nlast\n"
    assert not (tree.pristine / "hw/misc/idt.c").exists()


def test_nothing_new_changes_nothing(tree: Tree) -> None:
    tree.sync()
    before = tree.time("hw/misc/idt.c"), tree.time("hw/misc/meson.build")
    assert tree.sync() == []
    assert (tree.time("hw/misc/idt.c"), tree.time("hw/misc/meson.build")) == before


def test_untouched_files_keep_their_time(tree: Tree) -> None:
    tree.sync()
    assert tree.time("hw/misc/edu.c") == OLD


def test_an_edit_renews_that_file_alone(tree: Tree) -> None:
    tree.sync()
    os.utime(tree.tree / "hw/misc/meson.build", (OLD, OLD))
    tree.write(tree.overlay, "hw/misc/idt.c", "new\n")
    assert tree.sync() == ["hw/misc/idt.c"]
    assert tree.read("hw/misc/idt.c") == "new\n"
    assert tree.time("hw/misc/idt.c") > OLD + 1, "ninja must see it as changed"
    assert tree.time("hw/misc/meson.build") == OLD


def test_a_file_of_equal_size_and_time_is_seen_to_differ(tree: Tree) -> None:
    tree.sync()
    os.utime(tree.tree / "hw/misc/idt.c", (OLD + 5, OLD + 5))
    tree.write(tree.overlay, "hw/misc/idt.c", "tdi\n")
    assert tree.sync() == ["hw/misc/idt.c"]


def test_a_removed_file_goes(tree: Tree) -> None:
    tree.sync()
    (tree.overlay / "hw/misc/idt.c").unlink()
    assert tree.sync() == ["hw/misc/idt.c"]
    assert not (tree.tree / "hw/misc/idt.c").exists()


def test_a_replaced_file_comes_back_as_changed(tree: Tree) -> None:
    tree.write(tree.overlay, "hw/misc/edu.c", "ours\n")
    tree.sync()
    assert tree.read("hw/misc/edu.c") == "ours\n"
    (tree.overlay / "hw/misc/edu.c").unlink()
    assert tree.sync() == ["hw/misc/edu.c"]
    assert tree.read("hw/misc/edu.c") == "edu\n"
    assert tree.time("hw/misc/edu.c") > OLD + 1, "its object file is of our version"


def test_a_changed_patch_starts_from_the_pristine_file(tree: Tree) -> None:
    tree.sync()
    tree.write(tree.overlay, "patches/0001.patch", PATCH.replace("+ours", "+theirs"))
    assert tree.sync() == ["hw/misc/meson.build"]
    assert tree.read("hw/misc/meson.build") == "first\ntheirs\nlast\n"


def test_a_removed_patch_is_taken_back(tree: Tree) -> None:
    tree.sync()
    (tree.overlay / "patches/0001.patch").unlink()
    assert tree.sync() == ["hw/misc/meson.build"]
    assert tree.read("hw/misc/meson.build") == "first\nlast\n"


def test_patches_apply_in_the_order_of_their_names(tree: Tree) -> None:
    second = PATCH.replace("+ours", " ours\n+later").replace("1,2 +1,3", "1,3 +1,4")
    tree.write(tree.overlay, "patches/0002.patch", second)
    tree.sync()
    assert tree.read("hw/misc/meson.build") == "first\nours\nlater\nlast\n"


def test_a_patch_may_change_a_file_of_the_overlay(tree: Tree) -> None:
    patch = "--- a/hw/misc/idt.c\n+++ b/hw/misc/idt.c\n@@ -1 +1 @@\n-idt\n+IDT\n"
    tree.write(tree.overlay, "patches/0002.patch", patch)
    tree.sync()
    assert tree.read("hw/misc/idt.c") == "IDT\n"


def test_a_patch_may_add_and_remove_files(tree: Tree) -> None:
    patch = (
        "--- /dev/null\n+++ b/docs/new.rst\n@@ -0,0 +1 @@\n+new\n"
        "--- a/hw/misc/edu.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-edu\n"
    )
    tree.write(tree.overlay, "patches/0002.patch", patch)
    tree.sync()
    assert tree.read("docs/new.rst") == "new\n"
    assert not (tree.tree / "hw/misc/edu.c").exists()
    (tree.overlay / "patches/0002.patch").unlink()
    assert tree.sync() == ["docs/new.rst", "hw/misc/edu.c"]
    assert tree.read("hw/misc/edu.c") == "edu\n"


def test_a_patch_that_does_not_apply_leaves_the_tree_alone(tree: Tree) -> None:
    tree.sync()
    tree.write(tree.overlay, "hw/misc/idt.c", "new\n")
    tree.write(
        tree.overlay, "patches/0001.patch", PATCH.replace(" first", "-gone").replace("+1,3", "+1,2")
    )
    with pytest.raises(StepError, match="patch ended with 1"):
        tree.sync()
    assert tree.read("hw/misc/idt.c") == "idt\n"


@pytest.mark.parametrize("name", ["a/../../etc/passwd", "/etc/passwd"])
def test_a_patch_that_leaves_the_tree_is_refused(name: str) -> None:
    with pytest.raises(RunError, match="leaves the source tree"):
        list(overlay.touched(f"--- {name}\n+++ {name}\n"))


def test_an_interrupted_sync_is_taken_up_again(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    put = overlay.put

    def interrupted(source: Path, target: Path) -> bool:
        if target.name == "meson.build":
            raise KeyboardInterrupt
        return put(source, target)

    monkeypatch.setattr(overlay, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tree.sync()
    monkeypatch.setattr(overlay, "put", put)
    (tree.overlay / "hw/misc/idt.c").unlink()
    assert tree.sync() == ["hw/misc/idt.c", "hw/misc/meson.build"]
    assert not (tree.tree / "hw/misc/idt.c").exists()


def test_a_half_planted_tree_is_planted_anew(tree: Tree) -> None:
    tree.write(tree.tree, "hw/misc/edu.c", "half")
    tree.sync()
    assert tree.read("hw/misc/edu.c") == "edu\n"
    assert (tree.tree / "configure").exists()


def test_edits_of_a_living_folder_arrive(tree: Tree) -> None:
    names = tree.stage()
    overlay.plant(tree.pristine, tree.tree, link=False)
    overlay.sync(tree.pristine, tree._stage, names, tree.tree)
    assert overlay.follow(tree.pristine, tree.tree, names) == []
    tree.write(tree.pristine, "hw/misc/edu.c", "edited\n")
    tree.write(tree.pristine, "hw/misc/fresh.c", "fresh\n")
    tree.write(tree.tree, "build/kept.o", "object")
    (tree.pristine / "configure").unlink()
    assert sorted(overlay.follow(tree.pristine, tree.tree, names)) == [
        "configure",
        "hw/misc/edu.c",
        "hw/misc/fresh.c",
    ]
    assert tree.read("hw/misc/meson.build") == "first\nours\nlast\n"
    assert tree.read("build/kept.o") == "object"


def test_a_snapshot_does_not_follow_the_editor(tree: Tree, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    overlay.snapshot(tree.overlay, copy)
    tree.write(tree.overlay, "hw/misc/idt.c", "later\n")
    assert (copy / "hw/misc/idt.c").read_text() == "idt\n"
    with pytest.raises(RunError, match="no overlay folder"):
        overlay.snapshot(tmp_path / "none", tmp_path / "copy2")
