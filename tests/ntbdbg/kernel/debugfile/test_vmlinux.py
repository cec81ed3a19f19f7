# SPDX-License-Identifier: MIT
"""A vmlinux made of a guest's RAM, as gdb, drgn and ELF readers see it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from ntbdbg.kernel.debugfile.vmlinux import Vmlinux, VmlinuxMaker
from ntbdbg.kernel.kernel import Kernel
from tests.support.debugfiles import gdb
from tests.support.elfwriter import Load, elf_core, note, prstatus
from tests.support.fakekernel import LINK_BASE, FakeGuest
from tests.support.fakemodules import FakeModules
from tests.support.fakestack import FakeStacks
from tests.support.faketasks import FakeTasks


class Made:
    """A guest with a stack of three functions, and the file that tells of it."""

    def __init__(self, folder: Path, *, linked: bool = False, btf: bool = True) -> None:
        guest = self.guest = FakeGuest(btf=btf)
        FakeTasks(guest)
        stacks = FakeStacks(guest)
        self.busy = stacks.function("busy_loop")
        self.middle = stacks.function("in_the_middle", sp=24)
        end = stacks.function("kthread_end", kind="end")
        stacks.finish()
        self.module = FakeModules(guest).add("ntb_hw_idt", size=0x4000)
        self.top = stacks.stack([self.middle + 4, 0, 0, end + 2])
        kernel = Kernel.open(guest.memory)
        self.vmlinux: Vmlinux = VmlinuxMaker(kernel, linked=linked).make()
        self.path = folder / "vmlinux"
        self.path.write_bytes(b"".join(self.vmlinux.pieces))
        self.core = folder / "core"
        notes = note(b"CORE", 1, prstatus(self.busy + 1, self.top))
        data = guest.memory.read(0, len(guest.space.data))
        loads = [Load(0, data, vaddr=guest.direct_map)]
        self.core.write_bytes(elf_core(loads, notes))

    def gdb(self, *asked: str) -> str:
        return gdb(*asked, files=(self.path, "-c", self.core))

    @property
    def elf(self) -> ELFFile:
        return ELFFile(io.BytesIO(self.path.read_bytes()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("vmlinux"))


def test_symbols_are_those_of_kallsyms(made: Made) -> None:
    table = made.elf.get_section_by_name(".symtab")
    found = {one.name: one["st_value"] for one in table.iter_symbols() if one.name}
    guest = made.guest
    assert found == {name: va for name, va in guest.symbols.items() if name not in guest.hidden}
    assert made.vmlinux.symbols == len(found)
    kinds = {one.name: one["st_info"] for one in table.iter_symbols()}
    assert (kinds["startup_64"]["type"], kinds["startup_64"]["bind"]) == ("STT_FUNC", "STB_GLOBAL")
    assert (kinds["init_task"]["type"], kinds["busy_loop"]["bind"]) == ("STT_OBJECT", "STB_LOCAL")


def test_text_is_what_lies_in_memory(made: Made) -> None:
    text, guest = made.elf.get_section_by_name(".text"), made.guest
    start, end = guest.symbols["_text"], guest.symbols["_etext"]
    assert text["sh_addr"] == start
    assert text.data() == guest.space.read(start, end - start)
    assert made.elf.get_section_by_name(".BTF").data()[:2] == b"\x9f\xeb"
    (build_id,) = made.elf.get_section_by_name(".note.gnu.build-id").iter_notes()
    assert build_id["n_desc"] == guest.build_id
    assert made.elf.get_section_by_name("ntb_hw_idt.data")["sh_size"] == 0x4000


def test_gdb_unwinds_by_the_kernels_own_tables(made: Made) -> None:
    _, _, shown = made.gdb("echo asked\\n", "bt").partition("asked\n")
    assert re.findall(r"^#\d +(?:0x\w+ in )?(\w+)", shown, re.MULTILINE) == [
        "busy_loop", "in_the_middle", "kthread_end",
    ]  # fmt: skip
    assert "corrupt" not in shown


def test_gdb_shows_variables_by_type(made: Made) -> None:
    shown = made.gdb("ptype struct list_head", "whatis init_task", "info symbol busy_loop")
    assert "struct list_head *next;" in shown
    assert "type = struct task_struct" in shown
    assert "busy_loop in section .text" in shown


def test_as_it_was_linked(tmp_path: Path) -> None:
    made = Made(tmp_path, linked=True)
    text = made.elf.get_section_by_name(".text")
    assert text["sh_addr"] == LINK_BASE
    table = made.elf.get_section_by_name(".symtab")
    (found,) = table.get_symbol_by_name("busy_loop")
    assert found["st_value"] == made.busy - made.guest.kaslr
    assert made.vmlinux.modules == []
    assert f"{made.busy - made.guest.kaslr:#x}" in gdb("info address busy_loop", files=(made.path,))


def test_without_types_it_still_has_symbols(tmp_path: Path) -> None:
    made = Made(tmp_path, btf=False)
    assert made.vmlinux.types == 0
    assert any("without types: " in note for note in made.vmlinux.notes)
    assert made.elf.get_section_by_name(".debug_info") is None
    assert 'Symbol "busy_loop" is at' in made.gdb("info address busy_loop")


def test_code_that_claims_too_much_is_left_out(tmp_path: Path) -> None:
    guest = FakeGuest()
    guest.function("init_it")
    kernel = Kernel.open(guest.memory)
    maker = VmlinuxMaker(kernel)
    maker._bytes("huge.text", guest.base, 1 << 40, 1 << 20, 4)
    made = maker.make()
    assert made.notes[0] == f"huge.text: {1 << 40} bytes of it are not plausible: left out"
    assert made.symbols > 10


def test_what_cannot_be_read_is_zeros_and_is_told(tmp_path: Path) -> None:
    guest = FakeGuest()
    hole = guest.vmalloc(2 * 4096)
    guest.space.write(hole, b"x" * 8192)
    maker = VmlinuxMaker(Kernel.open(guest.memory))
    maker._bytes("odd.text", hole, 3 * 4096, 1 << 20, 4)
    assert maker._sections[0].data == b"x" * 8192 + bytes(4096)
    assert maker.make().notes[0] == "odd.text: 4096 bytes of it cannot be read, and are zeros"
