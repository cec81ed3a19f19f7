# SPDX-License-Identifier: MIT
"""The types of the guest's kernel and modules, as pahole reads them; no guest is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from drgn import Architecture, Platform, Program
from elftools.elf.elffile import ELFFile

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.reader import Btf, Kind
from ntbdbg.kernel.program.codec import Codec
from ntbdbg.kernel.program.finder import register_btf
from ntbdbg.kernel.program.shapes import shape_of
from ntbdbg.kernel.values.shape import Array, Compound, Shape
from tests.support.pahole import Extent, Printed, structs
from tests.vm.support import BUILD_DIR

pytestmark = pytest.mark.vm

GUEST = BUILD_DIR / "guest"
VMLINUX = GUEST / "vmlinux"


def btf_bytes(path: Path) -> bytes | None:
    """The .BTF section of an ELF file."""
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".BTF")
        return None if section is None else bytes(section.data())


@pytest.fixture(scope="module")
def vmlinux() -> Btf:
    data = btf_bytes(VMLINUX)
    assert data is not None
    return Btf.parse(data)


@pytest.fixture(scope="module")
def modules(vmlinux: Btf) -> dict[str, tuple[Path, Btf]]:
    """Every module that has BTF: its file and its types."""
    found = {}
    for path in sorted((GUEST / "modules").rglob("*.ko")):
        data = btf_bytes(path)
        if data is not None:
            name = path.stem.replace("-", "_")
            found[name] = path, Btf.parse(data, vmlinux, name=name)
    assert {"ntb", "ntb_hw_idt", "ntb_tool", "ntb_perf", "ntb_pingpong"} <= set(found)
    return found


@pytest.fixture(scope="module")
def prog(vmlinux: Btf, modules: dict[str, tuple[Path, Btf]]) -> Program:
    made = Program(Platform(Architecture.X86_64))
    register_btf(made, vmlinux, lambda: [btf for _, btf in modules.values()])
    return made


def flatten(shape: Compound, path: str = "", start: int = 0) -> Iterator[tuple[str, Extent]]:
    """Members by path with those of unnamed types within, as pahole prints them."""
    for slot in shape.slots:
        at = start + 8 * slot.offset + slot.bit_offset
        name = f"{path}{slot.name}"
        if slot.name:
            yield name, Extent(at, slot.bit_size, slot.shape.size)
        inner: Shape = slot.shape
        while isinstance(inner, Array) and "<anonymous>" in inner.name:
            inner = inner.element
        if isinstance(inner, Compound) and inner.name.endswith("<anonymous>"):
            yield from flatten(inner, f"{name}." if slot.name else path, at)


def named(btf: Btf, kind: Kind) -> set[str]:
    """Names of its own types of that kind."""
    return {btf.entry(number).name for number in btf.ids(kind)} - {""}


def disagreements(prog: Program, btf: Btf, printed: dict[str, Printed]) -> tuple[int, list[str]]:
    """How many structures of its own `btf` has, and in which pahole sees something else."""
    count, wrong = 0, []
    for kind in (Kind.STRUCT, Kind.UNION):
        for name in sorted(f"{kind.name.lower()} {name}" for name in named(btf, kind)):
            ours = shape_of(prog.type(name, btf.name))
            assert isinstance(ours, Compound)
            theirs = printed[name]
            count += 1
            if ours.size != theirs.size or dict(flatten(ours)) != theirs.members:
                wrong.append(name)
    return count, wrong


def test_every_structure_of_vmlinux_is_as_pahole_reads_it(prog: Program, vmlinux: Btf) -> None:
    count, wrong = disagreements(prog, vmlinux, structs(VMLINUX))
    assert wrong == []
    assert count > 5000


def test_every_structure_of_the_modules_is_as_pahole_reads_it(
    prog: Program, modules: dict[str, tuple[Path, Btf]]
) -> None:
    total = 0
    for path, btf in modules.values():
        names = named(btf, Kind.STRUCT) | named(btf, Kind.UNION)
        printed = structs(path, VMLINUX, names) if names else {}
        count, wrong = disagreements(prog, btf, printed)
        assert (btf.name, wrong) == (btf.name, [])
        total += count
    assert total > 50


def test_every_structure_goes_to_values_and_back(prog: Program, vmlinux: Btf) -> None:
    """Not a bit is lost, whatever the bytes: padding, unions, bit fields, odd truth values."""
    random = Random(1)
    for kind in (Kind.STRUCT, Kind.UNION):
        for name in sorted(named(vmlinux, kind)):
            codec = Codec.of(prog.type(f"{kind.name.lower()} {name}"))
            data = random.randbytes(codec.sizeof)
            value = codec.parse(data)
            assert codec.build(value) == data, name
            assert repr(codec.parse(data)) == repr(value), name


def test_damaged_types_are_refused_or_read(vmlinux: Btf) -> None:
    """Bits flipped all over the guest's own BTF: an answer or a KernelError, nothing else."""
    random = Random(2)
    for _ in range(10):
        spoiled = bytearray(vmlinux.data)
        for _ in range(2000):
            spoiled[random.randrange(24, len(spoiled))] ^= 1 << random.randrange(8)
        prog = Program(Platform(Architecture.X86_64))
        try:
            register_btf(prog, Btf.parse(bytes(spoiled)))
        except KernelError:
            continue
        for name in ("task_struct", "pci_dev", "module", "net", "page", "mm_struct"):
            try:
                codec = Codec.of(prog.type(f"struct {name}"))
                for _ in codec.fields(bytes(min(codec.sizeof, 1 << 16))):
                    pass
            except (KernelError, LookupError) as error:
                assert str(error)
