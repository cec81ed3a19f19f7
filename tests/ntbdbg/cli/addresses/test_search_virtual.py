# SPDX-License-Identifier: MIT
"""``search --range`` with symbols and virtual addresses."""

from __future__ import annotations

import json

import pytest

import ntbdbg as package
from tests.ntbdbg.conftest import Run
from tests.support.linuxlab import SCATTERED, LinuxLab

MIB = 1 << 20


def found(ntbdbg: Run, *words: str, code: int = 0) -> list[int]:
    done = ntbdbg("search", *words, "--json")
    assert done.returncode == code, done.stderr
    return [match["address"] for match in json.loads(done.stdout)["matches"]]


def test_a_symbol_is_a_range(lab: LinuxLab, ntbdbg: Run) -> None:
    there = lab.linux["qemu1"].symbols["init_uts_ns_copy"] + 65
    for area in ("init_uts_ns_copy", "init_uts_ns_copy+70"):
        assert found(ntbdbg, "qemu1", "str:qemu1", "--range", area) == [there]
    assert found(ntbdbg, "qemu1", "str:qemu1", "--range", "init_uts_ns_copy+65", code=1) == []
    member = lab.linux["qemu1"].symbols["init_uts_ns"] + 65
    assert found(ntbdbg, "qemu1", "str:qemu1", "--range", "init_uts_ns.name.nodename") == [member]
    both = found(ntbdbg, "qemu1", "str:qemu1", "--range", "_stext.._end")
    assert there in both


def test_a_match_over_the_seam_of_scattered_pages(lab: LinuxLab, ntbdbg: Run) -> None:
    needle = "hex:fe ff 00 01"
    area = f"{SCATTERED:#x}+0x3000"
    assert SCATTERED + 0xFFE in found(ntbdbg, "qemu1", needle, "--range", area)
    line = ntbdbg("search", "qemu1", needle, "--range", f"{SCATTERED:#x}:{SCATTERED + 0x1100:#x}")
    assert f"{SCATTERED + 0xFFE:016x}: feff 0001" in line.stdout


def test_through_a_window(lab: LinuxLab, ntbdbg: Run) -> None:
    there = lab.physical("qemu2", "init_uts_ns_copy") + 65
    done = ntbdbg("search", "qemu1", "str:qemu2", "--range", "mw0+1M", "--json")
    answer = json.loads(done.stdout)
    assert answer["guest"] == "qemu2"
    assert there in [match["address"] for match in answer["matches"]]
    assert "note: qemu1:mw0 reaches qemu2:0x200000" in done.stderr
    again = ntbdbg("search", "qemu1", "str:qemu2", "--range", "mw0", "--json")
    assert again.stdout == done.stdout


def test_from_python(lab: LinuxLab) -> None:
    with package.open() as opened:
        matches = opened["qemu2"].search(b"qemu2", within="init_uts_ns_copy")
        there = lab.linux["qemu2"].symbols["init_uts_ns_copy"] + 65
        assert [match.address for match in matches] == [there]


@pytest.mark.parametrize(
    ("area", "code", "said"),
    [
        ("_end.._stext", 2, "is empty or beyond 64 bits"),
        ("0x1000.._stext", 2, "are in different memories"),
        ("nosuch", 5, "no symbol 'nosuch'"),
        ("0xffffffff00000000+4K", 4, "is not mapped"),
        ("x y", 2, "is not understood"),
    ],
)
def test_bad_ranges(lab: LinuxLab, ntbdbg: Run, area: str, code: int, said: str) -> None:
    done = ntbdbg("search", "qemu1", "str:x", "--range", area)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
