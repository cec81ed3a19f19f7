# SPDX-License-Identifier: MIT
"""How to unwind stacks, as ORC tells it, in DWARF's words."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from ntbdbg.kernel.debugfile.elf import Section
from ntbdbg.kernel.debugfile.frames import MOST_ROWS, NUMBERS, RBP, RIP, RSP, build_frames
from ntbdbg.kernel.stacks.orc import OrcEntry
from ntbdbg.kernel.stacks.unwind import PT_REGS
from tests.support.debugfiles import TEXT, write_elf

DW_OP_BREG0 = 0x70

Row = tuple[int, OrcEntry]


def entry(kind: str = "call", sp: str = "sp", offset: int = 8, bp: str = "undefined", at: int = 0):
    return OrcEntry(kind, sp, offset, bp, at)


def table(path: Path, *rows: Row) -> list[dict[Any, Any]]:
    """Every row of every FDE, by address, as pyelftools understands them."""
    write_elf(path, Section(".debug_frame", build_frames([rows])))
    information = ELFFile(io.BytesIO(path.read_bytes())).get_dwarf_info()
    found: list[dict[Any, Any]] = []
    for one in information.CFI_entries():
        if isinstance(one, FDE):
            found += one.get_decoded().table
    return found


def saved(row: dict[Any, Any], number: int) -> int | None:
    """Bytes from the CFA to where a register is, None if it is not saved."""
    return row[number].arg if number in row and row[number].type == "OFFSET" else None


def test_calls(tmp_path: Path) -> None:
    rows = [
        (TEXT, entry(offset=8)),
        (TEXT + 1, entry(offset=16, bp="prev_sp", at=-16)),
        (TEXT + 4, entry(sp="bp", offset=16, bp="prev_sp", at=-16)),
        (TEXT + 400, entry(offset=8)),
    ]
    found = table(tmp_path / "x", *rows)
    assert [row["pc"] for row in found] == [TEXT, TEXT + 1, TEXT + 4, TEXT + 400]
    assert [(row["cfa"].reg, row["cfa"].offset) for row in found] == [
        (RSP, 8), (RSP, 16), (RBP, 16), (RSP, 8),
    ]  # fmt: skip
    assert [saved(row, RBP) for row in found] == [None, -16, -16, None]
    assert [saved(row, RIP) for row in found] == [-8] * 4
    assert found[0][3].type == "UNDEFINED", "nobody knows where rbx is"


def test_interrupted_code(tmp_path: Path) -> None:
    found = table(tmp_path / "x", (TEXT, entry("regs", offset=8)), (TEXT + 8, entry("iret")))
    regs, iret = found
    assert (regs["cfa"].reg, regs["cfa"].offset) == (RSP, 8 + 8 * len(PT_REGS))
    for index, name in enumerate(PT_REGS):
        if name in NUMBERS:
            assert saved(regs, NUMBERS[name]) == 8 * (index - len(PT_REGS)), name
    assert (iret["cfa"].offset, saved(iret, RIP), saved(iret, RSP)) == (48, -40, -16)


@pytest.mark.parametrize("last", [entry("end"), entry("undefined"), entry(sp="undefined")])
def test_the_end_of_a_stack(tmp_path: Path, last: OrcEntry) -> None:
    (row,) = table(tmp_path / "x", (TEXT, last))
    assert row[RIP].type == "UNDEFINED"


@pytest.mark.parametrize(
    ("sp", "offset", "words"),
    [
        ("sp@", 8, "DW_OP_breg7 (rsp): 0; DW_OP_deref; DW_OP_consts: 8; DW_OP_plus"),
        ("bp@", -8, "DW_OP_breg6 (rbp): -8; DW_OP_deref; DW_OP_consts: 0; DW_OP_plus"),
        ("sp", -16, "DW_OP_breg7 (rsp): -16"),
    ],
)
def test_stacks_that_are_found_by_a_pointer(
    tmp_path: Path, sp: str, offset: int, words: str
) -> None:
    write_elf(
        tmp_path / "x", Section(".debug_frame", build_frames([[(TEXT, entry("call", sp, offset))]]))
    )
    done = subprocess.run(
        ["readelf", "-wf", tmp_path / "x"], capture_output=True, text=True, check=True
    )
    assert f"DW_CFA_def_cfa_expression ({words})" in done.stdout
    assert done.stderr == ""


def test_registers_that_hold_the_stack(tmp_path: Path) -> None:
    rows = [(TEXT + 8 * i, entry(sp=name, offset=8)) for i, name in enumerate(("r10", "di", "ax"))]
    found = table(tmp_path / "x", *rows)
    assert [(row["cfa"].reg if row["cfa"].expr is None else None) for row in found] == [None] * 3
    assert [row["cfa"].expr[0] & 0x1F for row in found] == [
        0x70 + 10 & 0x1F,
        0x75 & 0x1F,
        0x70 & 0x1F,
    ]


def test_rows_out_of_order_are_passed_over(tmp_path: Path) -> None:
    rows = [(TEXT + 8, entry(offset=8)), (TEXT, entry(offset=64)), (TEXT + 16, entry(offset=24))]
    assert [row["pc"] for row in table(tmp_path / "x", *rows)] == [TEXT + 8, TEXT + 16]


def test_long_tables_are_cut_into_pieces(tmp_path: Path) -> None:
    rows = [(TEXT + 3 * i, entry(offset=8 + 8 * (i % 2))) for i in range(3 * MOST_ROWS)]
    rows.insert(0, (TEXT - (1 << 33), entry(offset=32)))
    found = table(tmp_path / "x", *rows)
    assert [(row["pc"], row["cfa"].offset) for row in found] == [
        (address, one.sp_offset) for address, one in rows
    ]
