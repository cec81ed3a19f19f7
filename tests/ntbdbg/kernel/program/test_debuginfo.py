# SPDX-License-Identifier: MIT
"""Debug information, where a user has it, used beside what the kernel carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from ntbdbg.errors import KernelError
from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.program.debuginfo import has_debug_info
from tests.support import fakevmlinux
from tests.support.fakekernel import FakeGuest

SOURCE = """
struct job { int number; char name[8]; };
struct job untold = { 9, "x" };
void _stext(void) {}
"""


def build(folder: Path, *flags: str, build_id: str = "5a" * 20) -> str:
    return fakevmlinux.build(folder, SOURCE, *flags, build_id=build_id)


def guest(**options) -> FakeGuest:
    made = FakeGuest(**options)
    made.types.declare("struct job { int id; char name[8]; };")
    made.symbol("untold", made.base + fakevmlinux.DATA)
    made.space.write(made.base + fakevmlinux.DATA, (7).to_bytes(4, "little") + b"seven")
    return made


def test_debug_information_comes_before_btf(tmp_path):
    notes: list[str] = []
    path = build(tmp_path, "-g")
    kernel = Kernel.open(guest().memory, symbols=path, notify=notes.append)
    assert kernel.object("untold.number").value_() == 7
    assert kernel.object("untold.name").string_() == b"seven"
    assert kernel.type("struct job").has_member("number")
    assert kernel.type("struct uts_namespace").has_member("name")  # BTF is still there
    assert notes == [f"qemu1: types and variables from {path}"]


def test_debug_information_is_enough(tmp_path):
    made = guest(btf=False, release="5.10.0")
    made.omit = {"kallsyms_names"}
    kernel = Kernel.open(made.memory, symbols=build(tmp_path, "-g"))
    assert kernel.symbol("untold").address == made.base + fakevmlinux.DATA
    assert kernel.symbolize(made.base + 2) == "_stext+0x2"
    assert kernel.object("untold.number").value_() == 7


@pytest.mark.parametrize(
    ("flags", "build_id"), [(("-g",), "11" * 20), ((), "5a" * 20)], ids=["another", "stripped"]
)
def test_a_file_that_is_not_of_this_kernel_is_refused(tmp_path, flags, build_id):
    kernel = Kernel.open(guest().memory, symbols=build(tmp_path, *flags, build_id=build_id))
    with pytest.raises(KernelError, match="has no debug information of qemu1"):
        kernel.type("struct job")
    assert kernel.symbol("untold")


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(KernelError, match="nothing"):
        Kernel.open(guest().memory, symbols=str(tmp_path / "nothing")).type("int")


def test_which_files_have_it(tmp_path):
    assert has_debug_info(build(tmp_path, "-g"))
    assert not has_debug_info(build(tmp_path))
    for text in (b"", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 200):
        (tmp_path / "x").write_bytes(text)
        assert not has_debug_info(tmp_path / "x")
    assert not has_debug_info(tmp_path / "nothing")
