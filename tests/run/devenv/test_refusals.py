# SPDX-License-Identifier: MIT
"""What is refused, by name, with nothing written and no commit lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from run.base.config import Paths
from run.base.errors import HostError, RunError
from run.devenv import enter as entering
from run.devenv import git as git_module
from run.devenv.git import Git
from run.devenv.quick import finish_quick
from tests.support.fakeqemu import Bench, write


def uncommitted(bench: Bench) -> None:
    write(bench.tree, {"hw/misc/idt.c": "half done\n"})


def staged(bench: Bench) -> None:
    uncommitted(bench)
    bench.git("add", "-A")


def unknown(bench: Bench) -> None:
    write(bench.tree, {"hw/misc/idt-forgotten.c": "x\n"})


def rebasing(bench: Bench) -> None:
    bench.commit("misc: a", {"hw/misc/idt.c": "a\n"})
    bench.git("checkout", "-q", "-b", "other", "HEAD^")
    bench.commit("misc: b", {"hw/misc/idt.c": "b\n"})
    with pytest.raises(RunError):
        bench.git("rebase", "devenv")


def merging(bench: Bench) -> None:
    rebasing(bench)
    bench.git("rebase", "--abort")
    with pytest.raises(RunError):
        bench.git("merge", "devenv")


def merged(bench: Bench) -> None:
    bench.git("checkout", "-q", "-b", "other")
    bench.commit("misc: b", {"hw/misc/b.c": "b\n"})
    bench.git("checkout", "-q", "devenv")
    bench.commit("misc: a", {"hw/misc/a.c": "a\n"})
    bench.git("merge", "-q", "--no-edit", "other")


def empty(bench: Bench) -> None:
    bench.commit("misc: nothing", {})


def binary(bench: Bench) -> None:
    bench.commit("misc: rom", {"pc-bios/idt.rom": b"\x00\x01\xff"})


def link(bench: Bench) -> None:
    (bench.tree / "hw/misc/link.c").symlink_to("idt.c")
    bench.commit("misc: link", {})


def message(bench: Bench) -> None:
    bench.commit("misc: words\n\nbefore\n---\nafter\n", {"hw/misc/a.c": "a\n"})


def in_body_header(bench: Bench) -> None:
    bench.commit("misc: words\n\nFrom: Somebody Else <x@example.com>\n", {"hw/misc/a.c": "a\n"})


def off_the_source(bench: Bench) -> None:
    bench.git("checkout", "-q", "--orphan", "lost")
    bench.git("commit", "-q", "-m", "all in one")


def both_sides(bench: Bench) -> None:
    bench.commit("misc: idt", {"hw/misc/idt.c": "in the tree\n"})
    write(bench.qemu_src, {"hw/misc/idt.c": "in qemu_src\n"})


def qemu_src_alone(bench: Bench) -> None:
    write(bench.qemu_src, {"include/idt.h": "#define IDT 2\n"})


def added_to_qemu_src(bench: Bench) -> None:
    write(bench.qemu_src, {"hw/misc/added.c": "x\n"})


def hunk_of_qemu_src(bench: Bench) -> None:
    patch = bench.qemu_src / "patches/0002-trace.patch"
    patch.write_text(patch.read_text().replace('"old"', '"other"'))


def foreign_patch(bench: Bench) -> None:
    write(bench.series.folder, {"0009-somebody-elses.patch": "x\n"})


def lost_patch(bench: Bench) -> None:
    (bench.series.folder / bench.series.names()[0]).unlink()


#: what somebody did -> what the refusal names
REFUSED: dict[Callable[[Bench], None], str] = {
    uncommitted: "not committed: hw/misc/idt.c; commit it",
    staged: "not committed: hw/misc/idt.c",
    unknown: "not known to git: hw/misc/idt-forgotten.c",
    rebasing: "a rebase is under way; git rebase --continue",
    merging: "a merge is under way",
    merged: "a merge is no patch",
    empty: "misc: nothing changes nothing",
    binary: "pc-bios/idt.rom is binary",
    link: "hw/misc/link.c is no plain file",
    message: "a line of its message looks like the start of a patch",
    in_body_header: "a patch cannot carry the message",
    off_the_source: "HEAD no longer stands on QEMU's source",
    both_sides: "edited since the tree was entered: hw/misc/idt.c",
    qemu_src_alone: "edited since the tree was entered: include/idt.h",
    added_to_qemu_src: "edited since the tree was entered: hw/misc/added.c",
    hunk_of_qemu_src: "edited since the tree was entered: patches/0002-trace.patch",
    foreign_patch: "not of the series: 0009-somebody-elses.patch",
    lost_patch: "No such file or directory, but ntb-patches.inc names it",
}


@pytest.mark.parametrize("act", REFUSED, ids=lambda act: act.__name__)
def test_finish_refuses(entered: Bench, act: Callable[[Bench], None]) -> None:
    act(entered)
    before, head = entered.ours(), entered.git("rev-parse", "HEAD")
    files = entered.edited()
    with pytest.raises(RunError) as caught:
        entered.finish()
    assert REFUSED[act] in str(caught.value)
    assert caught.value.hint or act in (link, binary), "it says what to do"
    assert entered.ours() == before
    assert entered.git("rev-parse", "HEAD") == head
    assert entered.edited() == files


def test_a_conflict_that_says_the_same_is_none(entered: Bench) -> None:
    both_sides(entered)
    write(entered.qemu_src, {"hw/misc/idt.c": "in the tree\n"})
    entered.finish()
    assert entered.built() == entered.edited()


def test_a_conflict_is_mended_by_a_commit(entered: Bench) -> None:
    both_sides(entered)
    entered.commit("misc: theirs", {"hw/misc/idt.c": "in qemu_src\n"})
    assert entered.finish().commits == 3


@pytest.mark.parametrize("act", [uncommitted, staged, unknown, rebasing])
def test_a_second_enter_refuses_a_dirty_tree(entered: Bench, act: Callable[[Bench], None]) -> None:
    act(entered)
    files = entered.edited()
    with pytest.raises(RunError, match=r"not committed|not known to git|under way"):
        entered.enter()
    assert entered.edited() == files


def test_a_second_enter_refuses_commits_that_were_not_finished(entered: Bench) -> None:
    commit = entered.commit("misc: precious", {"hw/misc/idt.c": "precious\n"})
    with pytest.raises(RunError, match=r"not finished: \w+ misc: precious; .*finish_qemu_devenv"):
        entered.enter()
    assert entered.git("rev-parse", "HEAD").strip() == commit
    entered.finish()
    assert not entered.enter().fresh


def test_another_source_does_not_hide_work(entered: Bench) -> None:
    entered.commit("misc: precious", {"hw/misc/idt.c": "precious\n"})
    write(entered.source_folder, {"hw/misc/edu.c": "edu of 10.1\n"})
    with pytest.raises(RunError, match="precious"):
        entered.enter()


def test_where_entering_led_before_stays_reachable(entered: Bench) -> None:
    old = entered.git("rev-parse", "HEAD").strip()
    write(entered.qemu_src, {"hw/misc/idt.c": "edited directly\n"})
    entered.enter()
    assert entered.git("rev-parse", "HEAD").strip() != old
    assert old in entered.git("for-each-ref", "--format=%(objectname)", "refs/ntbdbg/earlier")


def test_a_folder_that_is_not_ours_is_left_alone(bench: Bench) -> None:
    write(bench.tree, {"notes.txt": "mine"})
    with pytest.raises(RunError, match="was not made by us; move it away"):
        bench.enter()
    assert (bench.tree / "notes.txt").read_text() == "mine"


def test_a_source_that_the_patches_do_not_fit(entered: Bench) -> None:
    write(entered.source_folder, {"hw/misc/meson.build": "quite\ndifferent\n"})
    with pytest.raises(RunError, match=r"0001-hw-misc-.*does not apply: .*hw/misc/meson.build"):
        entered.enter()


def test_finish_without_enter(bench: Bench) -> None:
    with pytest.raises(RunError, match="enter_qemu_devenv' makes one"):
        finish_quick(bench.steps, Paths(bench.root / "build"))


def test_no_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entering, "ROOM", 1 << 60)
    with pytest.raises(HostError, match="MiB free, QEMU's source in git takes"):
        bench.enter()
    assert not bench.tree.exists()


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module.shutil, "which", lambda _: None)
    with pytest.raises(HostError, match="there is no git here; apt-get install git"):
        Git(tmp_path)("status")
