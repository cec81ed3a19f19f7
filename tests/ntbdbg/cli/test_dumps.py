# SPDX-License-Identifier: MIT
"""Commands on dumps, named as targets or by --from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.elfwriter import Load, elf_core
from tests.support.fakelab import FakeLab
from tests.support.kdumpwriter import PAGE, flattened, kdump


@pytest.fixture
def dumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one.core and two.kdump, which differ in the second page; no lab runs."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    pages = {0: b"\1" * PAGE, 1: b"needle".ljust(PAGE, b"."), 4: b"\4" * PAGE}
    loads = [Load(0, pages[0] + b"other".ljust(PAGE, b".")), Load(4 * PAGE, pages[4])]
    (tmp_path / "one.core").write_bytes(elf_core(loads))
    (tmp_path / "two.kdump").write_bytes(flattened(kdump(pages, "zstd")))
    return tmp_path


def test_a_path_is_a_target(ntbdbg: Run, dumps: Path) -> None:
    shown = ntbdbg("dump", dumps / "two.kdump", "0x1000", "16")
    assert shown.stdout == "00001000: 6e65 6564 6c65 2e2e 2e2e 2e2e 2e2e 2e2e  needle..........\n"
    assert shown.stderr == ""


def test_a_path_needs_no_choice_between_labs(ntbdbg: Run, dumps: Path) -> None:
    labs = [FakeLab(dumps / "run", name=name) for name in ("one", "two")]
    try:
        assert "several labs run" in ntbdbg("dump", "qemu1", "0").stderr
        assert ntbdbg("dump", dumps / "one.core", "0", "1").stdout.startswith("00000000: 01")
    finally:
        for lab in labs:
            lab.close()


def test_from_names_a_guest_after_the_file(ntbdbg: Run, dumps: Path) -> None:
    shown = ntbdbg("--from", dumps / "one.core", "dump", "one", "0x1000", "4")
    assert "6f74 6865" in shown.stdout
    refused = ntbdbg("--from", dumps / "one.core", "dump", "qemu1", "0")
    assert refused.returncode == 3
    assert "no guest 'qemu1'" in refused.stderr


def test_info_says_what_it_is(ntbdbg: Run, dumps: Path) -> None:
    (guest,) = json.loads(ntbdbg("--from", dumps / "two.kdump", "info", "--json").stdout)["guests"]
    assert (guest["name"], guest["state"], guest["ram"]) == ("two", "dump (kdump)", 3 * PAGE)


def test_dumps_are_compared_by_address(ntbdbg: Run, dumps: Path) -> None:
    one, two = dumps / "one.core", dumps / "two.kdump"
    shown = ntbdbg("diff", one, two, "--summary", "--json")
    assert shown.returncode == 1
    end = json.loads(shown.stdout.splitlines()[-1])
    assert (end["first"], end["compared"]) == (0x1000, 3 * PAGE)
    assert ntbdbg("diff", f"{one}:0x4000", f"{two}:0x4000", "--length", "4096").returncode == 0


def test_search_and_map(ntbdbg: Run, dumps: Path) -> None:
    found = ntbdbg("search", dumps / "two.kdump", "str:needle", "--json")
    assert [match["address"] for match in json.loads(found.stdout)["matches"]] == [0x1000]
    areas = json.loads(ntbdbg("map", dumps / "one.core", "--json").stdout)["areas"]
    assert [(a["kind"], a["end"]) for a in areas] == [
        ("RAM", 0x2000),
        ("hole", 0x4000),
        ("RAM", 0x5000),
    ]


def test_a_hole_is_a_fault_and_a_broken_dump_a_target_error(ntbdbg: Run, dumps: Path) -> None:
    assert ntbdbg("dump", dumps / "one.core", "0x2000").returncode == 4
    broken = dumps / "broken"
    broken.write_bytes((dumps / "two.kdump").read_bytes()[:3000])
    shown = ntbdbg("dump", broken, "0")
    assert shown.returncode == 3
    assert f"{broken}+0xbb8" in shown.stderr


@pytest.fixture
def filtered(dumps: Path) -> Path:
    """A dump of five pages of which makedumpfile left two out, each beside one that it has."""
    path = dumps / "filtered.kdump"
    pages = {0: b"needle".ljust(PAGE, b"."), 2: b"x" * (PAGE - 3) + b"nee", 4: b"needle" * 682}
    pages = {number: data.ljust(PAGE, b".") for number, data in pages.items()}
    path.write_bytes(kdump(pages, absent=[1, 3]))
    return path


@pytest.mark.parametrize("words", [["str:needle"], ["re:need+le"], ["str:needle", "--count"]])
def test_what_a_dump_has_not_is_passed_over(ntbdbg: Run, filtered: Path, words: list[str]) -> None:
    done = ntbdbg("search", filtered, *words)
    assert done.returncode == 0
    found = int(done.stdout) if "--count" in words else len(done.stdout.splitlines())
    assert found == 1 + 682
    assert done.stderr == f"note: 8 KiB of {filtered} cannot be read, and were passed over\n"


def test_what_a_dump_has_not_is_not_compared(ntbdbg: Run, filtered: Path, dumps: Path) -> None:
    done = ntbdbg("diff", filtered, filtered)
    assert done.returncode == 4
    assert f"8 KiB of {filtered} cannot be read, and were passed over" in done.stderr
    assert "do not differ in the 12 KiB compared; 8 KiB cannot be read" in done.stderr
    done = ntbdbg("diff", filtered, filtered, "0", "4K")
    assert done.returncode == 0
    assert "are identical: 4 KiB compared" in done.stderr
    whole = dumps / "two.kdump"
    done = ntbdbg("diff", filtered, whole, "--summary")
    assert done.returncode == 1
    assert f"4 KiB are in {filtered} alone and not compared" in done.stderr


def test_what_is_asked_for_and_not_there_is_an_error(ntbdbg: Run, filtered: Path) -> None:
    for words in (["search", filtered, "u8:0", "--range", "4K+4K"], ["dump", filtered, "4K"]):
        done = ntbdbg(*words)
        assert done.returncode == 4
        assert "0x1000 was left out of the dump" in done.stderr


def test_an_export_says_what_it_has_not(ntbdbg: Run, filtered: Path, dumps: Path) -> None:
    done = ntbdbg("export", filtered, "--format", "raw", "-o", dumps / "x.raw")
    assert done.returncode == 0
    assert "note: 8 KiB cannot be read, and are zeros in it" in done.stderr


def damaged_kdumps() -> dict[str, tuple[bytes, int]]:
    """Dumps of four pages in which one or more cannot be had, and how many."""
    pages = {n: bytes([65 + n]) * 8 + os.urandom(PAGE - 8) for n in range(4)}
    whole = kdump(pages, "none")
    bad = kdump({n: data[:8].ljust(PAGE, b".") for n, data in pages.items()})
    zlib = bad.rindex(b"\x78\x01", 0, bad.rindex(b"\x78\x01"))
    table = 4 * PAGE
    return {
        "bad page": (bad[: zlib + 4] + b"\xff" * 6 + bad[zlib + 10 :], 1),
        "incomplete": (whole[: table + 48] + bytes(48) + whole[table + 96 :], 2),
        "cut": (whole[:-PAGE], 1),
        "flattened and cut": (flattened(whole, PAGE)[:-40], 1),
    }


DAMAGED = damaged_kdumps()


@pytest.fixture(params=DAMAGED, ids=str)
def damaged(dumps: Path, request: pytest.FixtureRequest) -> tuple[Path, int]:
    """A damaged dump, and how many of its pages cannot be had."""
    content, lost = DAMAGED[request.param]
    path = dumps / "damaged"
    path.write_bytes(content)
    return path, lost


def passed_over(path: Path, lost: int) -> str:
    return f"note: {4 * lost} KiB of {path} cannot be read, and were passed over\n"


@pytest.mark.parametrize(
    "words",
    [["str:AAAAAAAA"], ["str:AAAAAAAA", "--count"], ["re:A{8}"], ["u64:0x4141414141414141"]],
)
def test_a_search_passes_over_damage(
    ntbdbg: Run, damaged: tuple[Path, int], words: list[str]
) -> None:
    path, lost = damaged
    done = ntbdbg("search", path, *words)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert ntbdbg("search", path, *words, "--context", "16K").returncode == 0
    assert done.stderr.count(passed_over(path, lost)) == 1


def test_a_search_by_workers_passes_over_damage(ntbdbg: Run, dumps: Path) -> None:
    """Of so much memory that several processes share the work, and tell what each found."""
    pages = {n: bytes(PAGE - 4) + n.to_bytes(4, "little") for n in range(1, (80 << 20) // PAGE)}
    content = bytearray(kdump(pages, "zlib"))
    content[-8:] = bytes(8)
    path = dumps / "large"
    path.write_bytes(content)
    assert ntbdbg("search", path, "u32:0x4001").stdout.startswith("04001ffc")
    done = ntbdbg("search", path, "u32:0x4fff")
    assert done.returncode == 1
    assert passed_over(path, 1) in done.stderr


def test_what_is_damaged_is_not_compared(ntbdbg: Run, damaged: tuple[Path, int]) -> None:
    path, lost = damaged
    done = ntbdbg("diff", path, path)
    assert done.returncode == 4
    assert done.stderr.count(passed_over(path, lost)) >= 1
    assert f"do not differ in the {16 - 4 * lost} KiB compared; {4 * lost} KiB" in done.stderr
    assert "identical" not in done.stderr


@pytest.mark.parametrize("place", [[], ["0", "16K"]])
def test_nobody_knows_whether_what_is_damaged_is_identical(
    ntbdbg: Run, damaged: tuple[Path, int], place: list[str]
) -> None:
    path, lost = damaged
    done = ntbdbg("diff", path, path, *place, "-q")
    assert (done.returncode, done.stdout) == (4, "")
    done = ntbdbg("diff", path, path, *place, "--json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert (found["identical"], found["different"]) == (None, 0)
    assert (found["compared"], found["unread"]) == ((16 - 4 * lost) << 10, 4 * lost << 10)


@pytest.mark.parametrize("how", [[], ["--summary"], ["-q"], ["--json"]])
@pytest.mark.parametrize("place", [[], ["4K", "64"]])
def test_where_nothing_can_be_compared_nothing_is_identical(
    ntbdbg: Run, dumps: Path, place: list[str], how: list[str]
) -> None:
    path = dumps / "nothing"
    path.write_bytes(kdump({0: b"A" * PAGE, 1: b"B" * PAGE}, "none")[: 4 * PAGE])
    done = ntbdbg("diff", path, path, *place, *how)
    assert (done.returncode, done.stdout) == (4, "")
    assert "cannot be compared with" in done.stderr


@pytest.mark.parametrize("form", ["raw", "elf", "lime", "kdump"])
def test_what_is_damaged_is_exported_as_zeros(
    ntbdbg: Run, damaged: tuple[Path, int], form: str
) -> None:
    path, lost = damaged
    made = path.parent / "made"
    done = ntbdbg("export", path, "--format", form, "-o", made)
    assert done.returncode == 0, done.stderr
    assert f"note: {4 * lost} KiB cannot be read, and are zeros in it" in done.stderr
    where = [str(made)] if form != "raw" else ["--segments", "0:16K:0", str(made)]
    words = [*where[:-1], "dump", where[-1], "0", "8"]
    assert ntbdbg(*words).stdout.endswith("AAAAAAAA\n")
    assert ntbdbg(*where[:-1], "search", where[-1], "str:AAAAAAAA", "--count").stdout == "1\n"


def test_what_is_damaged_is_told_by_map_and_info(ntbdbg: Run, damaged: tuple[Path, int]) -> None:
    path, lost = damaged
    assert ntbdbg("map", path).returncode == 0
    done = ntbdbg("info", path)
    assert done.returncode == 5
    assert passed_over(path, lost) in done.stderr
    assert "no Linux kernel" in done.stderr


def test_a_damaged_page_is_a_fault_at_its_address(ntbdbg: Run, damaged: tuple[Path, int]) -> None:
    path, lost = damaged
    answers = [ntbdbg("dump", path, f"{4 * n}K", "8") for n in range(4)]
    assert [done.returncode for done in answers].count(4) == lost
    assert all(
        f"0x{n}000 cannot be read: " in done.stderr
        for n, done in enumerate(answers)
        if done.returncode
    )
