# SPDX-License-Identifier: MIT
"""Commands given symbols and virtual addresses."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ntbdbg.conftest import Run
from tests.support.linuxlab import JIFFIES, SCATTERED, SCATTERED_BYTES, LinuxLab

MIB = 1 << 20


def ok(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stderr
    return done.stdout


def test_dump_of_a_symbol(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("dump", "qemu1", "init_uts_ns", "16")
    va = lab.linux["qemu1"].symbols["init_uts_ns"]
    assert ok(done) == f"{va:016x}: 4c69 6e75 7800 0000 0000 0000 0000 0000  Linux...........\n"
    gpa = lab.physical("qemu1", "init_uts_ns")
    assert done.stderr == f"note: qemu1: init_uts_ns is at {va:#x}, guest-physical {gpa:#x}\n"


def test_dump_shows_all_of_a_symbol_unless_told(lab: LinuxLab, ntbdbg: Run) -> None:
    shown = json.loads(ok(ntbdbg("dump", "qemu1", "jiffies_64", "--json")))
    assert shown["data"] == JIFFIES.to_bytes(8, "little").hex()
    assert (shown["address"], shown["size"]) == (lab.linux["qemu1"].symbols["jiffies_64"], 8)
    rest = json.loads(ok(ntbdbg("dump", "qemu1", "jiffies_64+6", "--json")))
    assert rest["size"] == 2
    done = ntbdbg("dump", "qemu1", "_stext-8", "4", "--json")
    assert "0xffffffff9cfffff8 is not mapped" in done.stderr


def test_a_huge_symbol_is_cut(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("dump", "qemu1", "huge_table", "--json")
    size = json.loads(ok(done))["size"]
    assert size == 0x1000
    assert "huge_table has 0x1800 bytes, the first 0x1000 are shown" in done.stderr


def test_dump_over_scattered_pages(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("dump", "qemu1", hex(SCATTERED), "8K", "--format", "raw", binary=True)
    assert done.stdout == SCATTERED_BYTES[:0x2000]
    assert b"(0x1000 bytes, then 1 other piece)" in done.stderr


def test_watch_of_a_symbol(lab: LinuxLab, ntbdbg: Run) -> None:
    done = ntbdbg("watch", "qemu1", "jiffies_64", "8", "--until", f"u64=={JIFFIES}", "--json")
    assert json.loads(ok(done).splitlines()[-1])["ended"] == "until"


def test_diff_of_a_symbol_compares_where_each_guest_has_it(lab: LinuxLab, ntbdbg: Run) -> None:
    first, second = (lab.linux[name].symbols["init_uts_ns_copy"] for name in ("qemu1", "qemu2"))
    for words in (
        ["qemu1", "qemu2", "init_uts_ns_copy"],
        ["qemu1", "qemu2", "init_uts_ns_copy", "390"],
        ["qemu1:init_uts_ns_copy", "qemu2:init_uts_ns_copy"],
    ):
        run, total = map(json.loads, ok(ntbdbg("diff", *words, "--json"), 1).splitlines())
        assert (run["a"], run["b"]) == (first + 65 + 4, second + 65 + 4)
        assert (run["old"], run["new"]) == (b"1".hex(), b"2".hex())
        assert total["different"] == 1
    assert total["compared"] >= 390


def test_diff_of_a_symbol_looks_it_up_in_a_file_too(
    lab: LinuxLab, ntbdbg: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "other.ram"
    shutil.copyfile(lab.ram_path("qemu2"), copy)
    for words in (["qemu1", copy], [copy, "qemu1"], [copy, copy]):
        done = ntbdbg("diff", *words, "jiffies_64")
        assert done.returncode == 0, done.stderr
        assert "identical: 8 B compared" in done.stderr
    changed = tmp_path / "changed.ram"
    shutil.copyfile(copy, changed)
    with changed.open("r+b") as file:
        file.seek(lab.physical("qemu2", "jiffies_64"))
        file.write(b"?")
    run, total = map(
        json.loads, ok(ntbdbg("diff", "qemu1", changed, "jiffies_64", "--json"), 1).splitlines()
    )
    assert run["a"] == lab.linux["qemu1"].symbols["jiffies_64"]
    assert run["b"] == lab.linux["qemu2"].symbols["jiffies_64"]
    assert (total["b"], total["compared"]) == (str(changed), 8)


def test_diff_of_scattered_pages(lab: LinuxLab, ntbdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(SCATTERED_BYTES)
    words = [f"qemu1:{SCATTERED:#x}", str(tmp_path / "bytes")]
    assert "identical" in ntbdbg("diff", *words).stderr
    changed = bytearray(SCATTERED_BYTES)
    changed[0x1800] ^= 0xFF
    (tmp_path / "bytes").write_bytes(changed)
    run, _ = map(json.loads, ok(ntbdbg("diff", *words, "--json"), 1).splitlines())
    assert (run["a"], run["b"]) == (SCATTERED + 0x1800, 0x1800)


def test_patch_and_undo_by_virtual_address(lab: LinuxLab, ntbdbg: Run) -> None:
    va, gpa = lab.linux["qemu2"].symbols["jiffies_64"], lab.physical("qemu2", "jiffies_64")
    assert f"qemu2:{va:#x}: 34 -> ff" in ok(ntbdbg("patch", "qemu2", hex(va), "u8:255"))
    assert lab.peek("qemu2", gpa, 2) == b"\xff\x12"
    assert f"{va:#x}" in ok(ntbdbg("patch", "--list"))
    ok(ntbdbg("undo"))
    assert lab.peek("qemu2", gpa, 2) == b"\x34\x12"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["dump", "qemu1", "jiffies_46"], 5, "similar: jiffies_64"),
        (["dump", "qemu1", "va:0x1000"], 4, "0x1000 is not mapped: its pgd entry 0x0"),
        (["dump", "qemu1", "0xffffc90000002ff0", "32"], 4, "0xffffc90000003000 is not mapped"),
        (["dump", "qemu1", "cpu_number"], 5, "say which: cpu_number@CPU; CPUs: 0, 1"),
    ],
)
def test_errors(lab: LinuxLab, ntbdbg: Run, words: list[str], code: int, said: str) -> None:
    done = ntbdbg(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
