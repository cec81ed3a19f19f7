# SPDX-License-Identifier: MIT
"""Enter, edit, finish: tree, qemu_src and patches say the same afterwards, and nothing is lost."""

from __future__ import annotations

import shutil

import pytest

from run.devenv.state import DevTree
from tests.support.fakeqemu import Bench, write


def agree(bench: Bench) -> None:
    """Both builds and the developer have the same files."""
    assert bench.built() == bench.edited() == bench.yocto()


def test_entering_lays_qemu_src_over_the_source(bench: Bench) -> None:
    entered = bench.enter()
    assert entered.tree == bench.tree
    assert entered.squashed == sorted(
        ["hw/misc/idt.c", "hw/misc/meson.build", "hw/misc/trace-events", "include/idt.h"]
    )
    assert bench.edited() == bench.built()
    assert bench.git("log", "--format=%s").splitlines() == [
        "hw/misc: an NT port of an IDT switch, joined by ivshmem-server",
        "QEMU 10.0",
    ]


def test_the_source_itself_stays_as_it_was(bench: Bench) -> None:
    before = bench.source.content
    bench.enter()
    (bench.tree / "hw/misc/edu.c").write_text("edited in place")
    assert bench.source.content == before


def test_the_first_finish_makes_the_series(entered: Bench) -> None:
    (name,) = entered.series.names()
    assert name == "0001-hw-misc-an-NT-port-of-an-IDT-switch-joined-by-ivshme.patch"
    text = (entered.series.folder / name).read_text()
    assert "\nUpstream-Status: Inappropriate" in text
    assert "\nindex " not in text
    agree(entered)


def test_without_edits_nothing_changes(entered: Bench) -> None:
    before = entered.ours()
    head = entered.git("rev-parse", "HEAD")
    for _ in range(2):
        entered.enter()
        assert entered.finish().files == []
    assert entered.ours() == before
    assert entered.git("rev-parse", "HEAD") == head


def test_a_fresh_tree_gives_the_same_series(entered: Bench) -> None:
    entered.commit("misc: two", {"hw/misc/idt.c": "line 1\nline two\nline 3\n"})
    entered.finish()
    before = entered.ours()
    shutil.rmtree(entered.tree)
    assert entered.enter().squashed == []
    assert entered.finish().files == []
    assert entered.ours() == before
    author = entered.git("log", "-1", "--format=%an <%ae>").strip()
    assert author == "Zoë Ütz <zoe@example.com>"


def test_a_commit_becomes_a_patch_and_reaches_qemu_src(entered: Bench) -> None:
    first = entered.series.load()
    entered.commit(
        "hw/misc: say more\n\nBecause.\n",
        {"hw/misc/idt.c": "line 1\nline two\nline 3\n", "hw/misc/idt-new.c": "new\n"},
    )
    finished = entered.finish()
    assert finished.commits == 2
    assert entered.series.names()[1] == "0002-hw-misc-say-more.patch"
    assert entered.series.load()[0] == first[0], "a patch that says the same keeps its bytes"
    assert (entered.qemu_src / "hw/misc/idt.c").read_text() == "line 1\nline two\nline 3\n"
    assert (entered.qemu_src / "hw/misc/idt-new.c").read_text() == "new\n"
    assert {path.name for path in finished.files} == {
        *("0002-hw-misc-say-more.patch", "ntb-patches.inc", "idt.c", "idt-new.c")
    }
    agree(entered)


EDITS = {
    "remove our file": {"include/idt.h": None},
    "a hunk we have": {"hw/misc/trace-events": '# events\n\nidt() "new"\n\n# edu.c\nedu() "x"\n'},
    "a second hunk": {
        "hw/misc/trace-events": '# events\n\nidt() "old"\n\n# edu.c\nedu() "y"\n# end\n'
    },
    "a file of QEMU's": {"hw/misc/edu.c": "edu\nmore\n"},
    "take a hunk back": {"hw/misc/meson.build": "first\nsecond\nthird\n"},
    "remove a file of QEMU's": {"docs/index.rst": None},
    "no newline at the end": {"hw/misc/idt.c": "line 1\nline 2\nline 3"},
    "blank lines at the end": {"hw/misc/idt.c": "line 1\n\n\n"},
    "carriage returns": {"hw/misc/idt.c": "line 1\r\nline 2\r\nline 3\n"},
    "other alphabets": {"hw/misc/idt.c": "Zeile ä\n線 2\n"},
    "no UTF-8": {"hw/misc/idt.c": b"na\xefve\n", "hw/misc/edu.c": b"\xe9du\n"},
    "like a patch": {"hw/misc/idt.c": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-- sig\nindex 1..2\n"},
    "a new folder": {"hw/idt/new.c": "n\n", "hw/idt/sub/Kconfig": "k\n"},
    "a name with a space": {"hw/misc/a b.c": "n\n"},
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_kind_of_edit(entered: Bench, edit: str) -> None:
    entered.commit(f"test: {edit}", EDITS[edit])  # type: ignore[arg-type]
    entered.finish()
    agree(entered)
    before = entered.ours()
    shutil.rmtree(entered.tree)
    entered.enter()
    assert entered.finish().files == [], "and once more from nothing"
    assert entered.ours() == before


def test_an_executable_stays_one(entered: Bench) -> None:
    write(entered.tree, {"scripts/run.sh": "#!/bin/sh\n"})
    (entered.tree / "scripts/run.sh").chmod(0o755)
    entered.commit("scripts: run", {})
    entered.finish()
    assert (entered.qemu_src / "scripts/run.sh").stat().st_mode & 0o111


def test_an_edit_of_qemu_src_is_squashed_into_the_last_patch(entered: Bench) -> None:
    write(entered.qemu_src, {"hw/misc/idt.c": "edited directly\n", "hw/misc/more.c": "more\n"})
    assert entered.enter().squashed == ["hw/misc/idt.c", "hw/misc/more.c"]
    entered.finish()
    assert len(entered.series.names()) == 1
    agree(entered)


def test_numbers_follow_the_commits(entered: Bench) -> None:
    entered.commit("misc: one", {"hw/misc/one.c": "1\n"})
    entered.commit("misc: two", {"hw/misc/two.c": "2\n"})
    entered.finish()
    assert [n[:4] for n in entered.series.names()] == ["0001", "0002", "0003"]
    entered.git("reset", "-q", "--hard", "HEAD^")
    finished = entered.finish()
    assert not (entered.qemu_src / "hw/misc/two.c").exists()
    assert "0003-misc-two.patch" in {path.name for path in finished.files}
    assert not (entered.series.folder / "0003-misc-two.patch").exists()
    agree(entered)


def test_a_moved_build_folder_still_works(entered: Bench) -> None:
    entered.commit("misc: one", {"hw/misc/one.c": "1\n"})
    moved = entered.root / "elsewhere"
    entered.tree.parent.rename(moved)
    moved.rename(entered.tree.parent)
    assert entered.finish().commits == 2
    agree(entered)


def test_another_source_leaves_the_old_tree_aside(entered: Bench) -> None:
    write(entered.source_folder, {"hw/misc/edu.c": "edu of 10.1\n"})
    again = entered.enter()
    assert again.aside == entered.tree.with_name("qemu-devenv.1")
    assert DevTree.at(again.aside) is not None
    assert (entered.tree / "hw/misc/edu.c").read_text() == "edu of 10.1\n"
    assert entered.finish().files == [], "the same patches on another version"


def test_an_interrupted_enter_is_taken_up_again(bench: Bench) -> None:
    half = bench.tree.with_name(".qemu-devenv.partial")
    write(half, {"hw/misc/edu.c": "half", ".git/HEAD": "nonsense"})
    bench.enter()
    assert bench.edited() == bench.built()
    assert not half.exists()


def test_an_interrupted_finish_is_taken_up_again(entered: Bench) -> None:
    entered.commit("misc: idt", {"hw/misc/idt.c": "new\n", "include/idt.h": "new\n"})
    write(entered.qemu_src, {"hw/misc/idt.c": "new\n"})  # carried before the lights went out
    entered.finish()
    agree(entered)


def test_a_dry_run_writes_nothing(entered: Bench) -> None:
    entered.commit("misc: one", {"hw/misc/one.c": "1\n"})
    before = entered.ours()
    names = {path.name for path in entered.finish(dry_run=True).files}
    assert names == {"0002-misc-one.patch", "ntb-patches.inc", "one.c"}
    assert entered.ours() == before
