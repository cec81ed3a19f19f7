# SPDX-License-Identifier: MIT
"""What is kept of a kernel between two commands, and when it is not believed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ntbdbg.kernel.image import cache, index
from ntbdbg.kernel.image.cache import Entry, KernelCache, default_folder
from ntbdbg.kernel.kernel import Kernel
from tests.support.fakekernel import FakeGuest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ntbdbg" / "kernels"


def ask(guest: FakeGuest, **options) -> tuple[list, list[str]]:
    notes: list[str] = []
    kernel = Kernel.open(guest.memory, notify=notes.append, **options)
    return [*kernel.table, kernel.type("struct list_head").size, len(kernel.btf)], notes


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("made anew")

    def forbid() -> None:
        monkeypatch.setattr(index, "load_kallsyms", refuse)
        monkeypatch.setattr(index.Btf, "parse", refuse)

    return forbid


def test_the_second_time_nothing_is_decoded(folder, no_decoding):
    first = ask(FakeGuest())
    assert sorted(path.suffix for path in folder.iterdir()) == [".symbols", ".types"]
    no_decoding()
    assert ask(FakeGuest()) == first


def test_an_entry_serves_the_same_kernel_wherever_kaslr_puts_it(folder, no_decoding):
    ask(FakeGuest(kaslr=0x0400_0000))
    moved = FakeGuest(kaslr=0x1C00_0000)
    no_decoding()
    symbols, _ = ask(moved)
    assert {s.name: s.address for s in symbols[:-2]} == moved.symbols


def test_another_kernel_of_the_same_build_id_is_not_taken_for_it(folder):
    ask(FakeGuest())
    other = FakeGuest()
    other.function("only_here", kind="T")
    kernel = Kernel.open(other.memory)
    assert kernel.symbol("only_here").address == other.symbols["only_here"]


@pytest.mark.parametrize("size", [0, 5, 50, 100])
def test_a_damaged_entry_is_made_anew_with_a_note(folder, size):
    first, _ = ask(FakeGuest())
    for path in folder.iterdir():
        raw = path.read_bytes()
        path.write_bytes(raw[:size] + bytes(len(raw[size:])))
    again, notes = ask(FakeGuest())
    assert again == first
    assert len(notes) == 2
    assert all("was damaged" in note for note in notes)
    assert ask(FakeGuest()) == (first, [])


def test_an_entry_of_another_version_is_made_anew_without_a_word(folder):
    first = ask(FakeGuest())
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(cache.MAGIC, cache.FAMILY + b"1\n", 1))
    assert ask(FakeGuest()) == first
    assert all(path.read_bytes().startswith(cache.MAGIC) for path in folder.iterdir())


def test_nothing_is_kept_if_the_user_does_not_want_it(folder, monkeypatch):
    ask(FakeGuest(), cache=False)
    monkeypatch.setenv("NTBDBG_NO_CACHE", "1")
    ask(FakeGuest())
    assert not folder.exists()


def test_a_kernel_without_build_id_is_not_kept(folder):
    guest = FakeGuest()
    guest.build_id = "../../x"
    assert len(Kernel.open(guest.memory).table) > 10
    assert not folder.exists()


def test_entries_are_the_users_own(folder):
    ask(FakeGuest())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert ask(FakeGuest())[1] == []


def test_what_was_not_used_for_longest_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 3000)
    kept = [KernelCache(f"{number:08x}", tmp_path) for number in range(4)]
    for number, one in enumerate(kept[:3]):
        one.store("x", Entry(bytes(32), bytes(800)))
        os.utime(tmp_path / f"{number:08x}.x", (number, number))
    assert kept[0].load("x") is not None  # which makes it the youngest
    kept[3].store("x", Entry(bytes(32), bytes(800)))
    assert sorted(path.name[7] for path in tmp_path.iterdir()) == ["0", "2", "3"]


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG base directory specification wants it."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == "/home/somebody/.cache/ntbdbg/kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", "/absolute")
    assert default_folder() == "/absolute/ntbdbg/kernels"
