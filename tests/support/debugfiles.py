# SPDX-License-Identifier: MIT
"""Files with debug information, as other readers than ours see them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ntbdbg.budget import Budget
from ntbdbg.kernel.btf.reader import Btf
from ntbdbg.kernel.debugfile.dwarf import Dwarf
from ntbdbg.kernel.debugfile.elf import ALLOC, EXECUTE, Section, build_elf
from ntbdbg.kernel.symbols.symbols import SymbolTable
from tests.support.btfwriter import BtfWriter

TEXT = 0xFFFF_FFFF_8100_0000


def write_elf(path: Path, *sections: Section, code: bytes = bytes(64)) -> Path:
    """A file of `sections` and of `code` at `TEXT`, without symbols."""
    text = Section(".text", code, flags=ALLOC | EXECUTE, address=TEXT)
    path.write_bytes(b"".join(build_elf([text, *sections], [], TEXT)))
    return path


def write_types(
    path: Path, btf: BtfWriter, *modules: BtfWriter, table: SymbolTable | None = None,
    code: bytes = bytes(64), budget: Budget | None = None,
) -> Dwarf:  # fmt: skip
    """A file with these types, and variables and functions of `table`."""

    def read(address: int, size: int) -> bytes:
        return code[address - TEXT : address - TEXT + size]

    dwarf = Dwarf("test", read, budget or Budget())
    base = Btf.parse(btf.data())
    dwarf.add(base, table or SymbolTable.empty(), [(TEXT, TEXT + len(code))])
    for index, module in enumerate(modules):
        parsed = Btf.parse(module.data(), base, name=f"module{index}")
        dwarf.add(parsed, SymbolTable.empty(parsed.name), [])
    write_elf(path, *dwarf.sections(), code=code)
    return dwarf


def gdb(*asked: str, files: tuple[str | Path, ...] = (), timeout: float = 120) -> str:
    """What gdb says to these lines, errors among it."""
    assert shutil.which("gdb"), "gdb is not installed"
    words = [word for line in asked for word in ("-ex", line)]
    argv = ["gdb", "-nx", "-batch", *words, *map(str, files)]
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
        check=False, errors="replace",
    )  # fmt: skip
    return done.stdout
