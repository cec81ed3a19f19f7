# SPDX-License-Identifier: MIT
"""Memory of other architectures: told by what is in it, and never taken for a PC's."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.arch import devicetree
from ntbdbg.arch.foreign import of_elf, of_ram, of_utsname, of_vmcoreinfo
from ntbdbg.errors import FormatError
from ntbdbg.memory import formats
from tests.ntbdbg.conftest import Run
from tests.support.elfwriter import Load, elf_core, note
from tests.support.fakekernel import FakeGuest
from tests.support.foreignwriter import MACHINES, STEP, device_tree, image, vmcoreinfo
from tests.support.kdumpwriter import kdump

MIB = 1 << 20
RAM = 16 * MIB
BOTH = pytest.mark.parametrize("architecture", MACHINES)


def ram_file(path: Path, architecture: str, *, tree: bool = True, kernel: bool = True) -> Path:
    """A guest's RAM as QEMU's machine ``virt`` leaves it."""
    base = MACHINES[architecture][2]
    with path.open("wb") as file:
        file.truncate(RAM)
        file.seek(0x80)
        file.write(b"firmware")
        if kernel:
            file.seek(STEP)
            file.write(image(architecture))
            file.seek(3 * STEP + 0x3000)
            file.write(vmcoreinfo(architecture))
        if tree:
            file.seek(RAM - STEP)
            file.write(device_tree(architecture, [(base, RAM)]))
    return path


# -- RAM files --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("words", [["dump", "0", "64"], ["map"], ["search", "str:x"], ["info"]])
def test_a_ram_file_is_named_and_nothing_of_it_shown(
    tmp_path: Path, ntbdbg: Run, architecture: str, words: list[str]
) -> None:
    path = ram_file(tmp_path / "ram", architecture)
    machine, _, base = MACHINES[architecture]
    done = ntbdbg(words[0], path, *words[1:])
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"ntbdbg: {path}: is memory of another architecture, {architecture} (device tree "
        f"{machine!r} at offset 0xe00000); only x86-64 is understood; "
        f"its bytes alone are shown by --segments {base:#x}:{RAM:#x}:0x0\n"
    )
    shown = ntbdbg("dump", path, hex(base + 0x80), "8", "--segments", f"{base:#x}:{RAM:#x}:0x0")
    assert "firmware" in shown.stdout


@BOTH
def test_a_kernels_image_is_enough(tmp_path: Path, ntbdbg: Run, architecture: str) -> None:
    path = ram_file(tmp_path / "ram", architecture, tree=False)
    done = ntbdbg("dump", path, "0", "64")
    assert done.returncode == 3
    assert f"{architecture} (its kernel's image at offset 0x200000)" in done.stderr
    assert f"--segments {MACHINES[architecture][2]:#x}:{RAM:#x}:0x0" in done.stderr


@BOTH
def test_no_dump_for_x86_is_made_of_it(tmp_path: Path, ntbdbg: Run, architecture: str) -> None:
    path = ram_file(tmp_path / "ram", architecture)
    out = tmp_path / "out"
    segments = f"{MACHINES[architecture][2]:#x}:{RAM:#x}:0"
    for words in (["elf"], ["elf", "--machine", "q35"], ["elf", "--segments", segments],
                  ["kdump", "--segments", segments]):  # fmt: skip
        done = ntbdbg("export", path, "-o", out, "--format", *words)
        assert done.returncode == 3, words
        assert architecture in done.stderr
        assert not out.exists()
    forced = ntbdbg("dump", path, "0", "16", "--machine", "q35")
    assert f"taken for a q35 machine; but it is memory of another architecture, {architecture}" in (
        forced.stderr
    )
    done = ntbdbg("export", path, "-o", out, "--format", "lime", "--segments", segments)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size == RAM + 32


@BOTH
def test_before_a_kernel_tells_of_itself_its_image_does(
    tmp_path: Path, ntbdbg: Run, architecture: str
) -> None:
    path = ram_file(tmp_path / "ram", architecture)
    with path.open("r+b") as file:
        file.seek(3 * STEP + 0x3000)
        file.write(bytes(64))
    words = ["--format", "elf", "-o", tmp_path / "out", "--segments", f"0:{RAM:#x}:0"]
    done = ntbdbg("export", path, *words)
    assert done.returncode == 3
    assert f"its kernel is one for {architecture}" in done.stderr


@BOTH
def test_what_asks_the_kernel_says_what_it_is(
    tmp_path: Path, ntbdbg: Run, architecture: str
) -> None:
    path = ram_file(tmp_path / "ram", architecture, tree=False)
    done = ntbdbg("info", path, "--segments", f"{MACHINES[architecture][2]:#x}:{RAM:#x}:0")
    assert (done.returncode, done.stdout) == (5, "")
    assert f"its kernel, Linux 6.12.117-{architecture}, is one for {architecture}" in done.stderr
    assert "damaged" not in done.stderr


def test_a_pc_that_holds_a_foreign_kernel_is_a_pc(tmp_path: Path, ntbdbg: Run) -> None:
    """As one that runs an emulator does."""
    guest = FakeGuest()
    guest.space.poke(0, struct.pack("<256I", *[0xF000FF53] * 256))
    guest.space.poke(7 * STEP, image("arm64"))
    guest.space.poke(7 * STEP - 0x1000, vmcoreinfo("arm64"))
    path = tmp_path / "ram"
    guest.save(path)
    done = ntbdbg("info", path)
    assert done.returncode == 0, done.stderr
    assert "also in RAM" not in done.stdout


# -- dumps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("machine", "name"), [(183, "arm64"), (243, "riscv"), (999, "e_machine")])
def test_an_elf_core_by_its_machine(tmp_path: Path, ntbdbg: Run, machine: int, name: str) -> None:
    core = bytearray(elf_core([Load(0x4000_0000, b"x" * 4096)]))
    core[18:20] = machine.to_bytes(2, "little")
    path = tmp_path / "core"
    path.write_bytes(core)
    done = ntbdbg("dump", path, "0x40000000", "16")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"is memory of another architecture, {name}" in done.stderr
    assert "only x86-64 is understood" in done.stderr


@BOTH
def test_dumps_by_their_vmcoreinfo(tmp_path: Path, architecture: str) -> None:
    text = vmcoreinfo(architecture)
    core = elf_core([Load(0, b"x" * 4096)], note(b"VMCOREINFO", 0, text))
    for name, data in ("core", core), ("kdump", kdump({0: b"x" * 4096}, vmcoreinfo=text)):
        path = tmp_path / name
        path.write_bytes(data)
        reader = formats.sniff(str(path))
        assert reader
        with pytest.raises(FormatError, match=f"another architecture, {architecture} .its VMCORE"):
            formats.open_image(str(path), reader, "x")


def test_a_kdump_by_its_utsname(tmp_path: Path) -> None:
    data = bytearray(kdump({0: b"x" * 4096}))
    data[12 + 4 * 65 : 12 + 4 * 65 + 8] = b"aarch64\0"
    path = tmp_path / "kdump"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"arm64 \(the utsname in its header\)"):
        formats.open_image(str(path), "kdump", "x")


# -- the signs --------------------------------------------------------------------------------


def test_what_is_no_sign() -> None:
    assert of_elf(62) is of_elf(0) is None
    assert of_utsname(b"x86_64\0\0") is of_utsname(bytes(65)) is None
    assert of_utsname(b"Unknown\0") is of_utsname(b"\xff\x01?") is None  # QEMU's; a damaged one
    assert of_utsname(b"s390x") == "s390x"
    assert of_vmcoreinfo(b"OSRELEASE=6.1.0-arm64\nNUMBER(phys_base)=0\n") is None
    for size in (0, 1, 63, 64, 4096, STEP, STEP + 1):
        assert of_ram(lambda offset, size: bytes(size), size) is None


def test_device_trees() -> None:
    memory = [(0x4000_0000, 1 << 30), (0x1_0000_0000, 3 << 30)]
    tree = devicetree.parse(device_tree("arm64", memory))
    assert tree == ("linux,dummy-virt", ("arm,cortex-a72",), tuple(memory))
    assert devicetree.parse(device_tree("arm64", [])) is None


@given(st.binary(max_size=300), st.integers(0, 700), st.booleans())
def test_damaged_device_trees(noise: bytes, at: int, cut: bool) -> None:
    blob = device_tree("riscv64", [(0x8000_0000, RAM)])
    devicetree.parse(blob[:at] if cut else blob[:at] + noise + blob[at + len(noise) :])
    data = noise + blob
    of_ram(lambda offset, size: data[offset : offset + size].ljust(size, b"\0"), len(data))


@BOTH
def test_a_tree_of_more_than_the_file(tmp_path: Path, ntbdbg: Run, architecture: str) -> None:
    path = ram_file(tmp_path / "ram", architecture, tree=False)
    with path.open("r+b") as file:
        file.seek(RAM - STEP)
        file.write(device_tree(architecture, [(0, 4 * RAM)]))
    done = ntbdbg("dump", path, "0", "64")
    assert done.returncode == 3
    assert "--segments GPA:0x1000000:0" in done.stderr


def test_json_errors_are_on_stderr_alone(tmp_path: Path, ntbdbg: Run) -> None:
    path = ram_file(tmp_path / "ram", "arm64")
    done = ntbdbg("map", path, "--json")
    assert (done.returncode, done.stdout) == (3, "")
    forced = ntbdbg("map", path, "--json", "--segments", f"0x40000000:{RAM}:0")
    assert json.loads(forced.stdout)["areas"][-1]["end"] == 0x4000_0000 + RAM
