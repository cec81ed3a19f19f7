# SPDX-License-Identifier: MIT
"""The layout of the shared page: against itself, and against the device's C header."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntbdbg.ntb import page
from ntbdbg.ntb.epf import area as epf

HEADERS = Path(__file__).parents[3] / "qemu_src/include/hw/ntb"
LAYOUT = page.layout("little")
STRUCTS = {
    "ntb_shm_header": LAYOUT.header,
    "ntb_shm_ring": LAYOUT.ring,
    "ntb_shm_event": LAYOUT.event,
    "ntb_shm_seg": LAYOUT.segment,
    "idt_ntb_shm_lut": LAYOUT.lut,
    "ntb_shm_port": LAYOUT.common,
    "idt_ntb_shm_area": LAYOUT.idt,
    "epf_ntb_shm_mw": epf.layout("little").mw,
    "epf_ntb_shm_area": epf.layout("little").area,
}
WORDS = {"uint32_t": 4, "uint64_t": 8}
BYTES = WORDS | {f"struct {name}": struct.sizeof() for name, struct in STRUCTS.items()}
AREA = page.PORT_STRIDE - page.DEVICE_OFF
TEXT = "".join(path.read_text() for path in sorted(HEADERS.glob("*.h")))


def declared(struct: str) -> list[tuple[str, int, int]]:
    """`(name, offset in a block, size)` of what the C structure `struct` should have."""
    ours = members(STRUCTS[struct])
    start = page.DEVICE_OFF if struct.endswith("_area") else 0
    found = [(name, start + offset, size) for name, offset, size in ours]
    whole = [("device", page.DEVICE_OFF, AREA)] if struct == "ntb_shm_port" else []
    return found + whole


def members(struct) -> list[tuple[str, int, int]]:
    """`(name, offset, size)` of each member of a construct Struct."""
    found, offset = [], 0
    for member in struct.subcons:
        found.append((member.name, offset, member.sizeof()))
        offset += member.sizeof()
    return found


def c_struct(name: str) -> list[tuple[str, int | None, int]]:
    """`(name, commented offset, size)` of each member of a C structure in the header."""
    constants = {k: int(v) for k, v in re.findall(r"#define (\w+NUM\w+|\w+MAX\w+)\s+(\d+)\b", TEXT)}
    constants["NTB_SHM_LANES"] = page.LANES
    constants |= {k: int(v) for k, v in re.findall(r"#define (\w+LUT\w+)\s+(\d+)\b", TEXT)}
    constants["IDT_NTB_SHM_IMAGE_SIZE / 4"] = page.IMAGE_SIZE // 4
    constants["NTB_SHM_DEVICE_SIZE / 4"] = AREA // 4
    body = re.search(rf"struct {name} {{(.*?)\n}};", TEXT, re.DOTALL)[1]
    found = []
    pattern = r"^\s+(struct \w+|\w+) (\w+)((?:\[[^\]]+\])*);(?:\s*/\* (0x[0-9a-f]+))?"
    for kind, field, counts, offset in re.findall(pattern, body, re.MULTILINE):
        times = 1
        for count in re.findall(r"\[([^\]]+)\]", counts):
            times *= int(constants.get(count, count))
        found.append((field, int(offset, 16) if offset else None, BYTES[kind] * times))
    return found


@pytest.mark.parametrize("c_name", STRUCTS)
def test_same_fields_as_the_c_header(c_name: str) -> None:
    ours = declared(c_name)
    theirs = c_struct(c_name)
    assert [(name, size) for name, _, size in ours] == [(name, size) for name, _, size in theirs]
    for (name, offset, _), (_, commented, _) in zip(ours, theirs, strict=True):
        assert commented in (None, offset), name


@pytest.mark.parametrize("c_name", STRUCTS)
def test_offsets_that_the_compiler_sees(c_name: str, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "this test needs a C compiler"
    ours = declared(c_name)
    start = ours[0][1]
    checks = [
        f"_Static_assert(offsetof(struct {c_name}, {name}) == {offset - start}, {name!r});\n"
        f"_Static_assert(sizeof(((struct {c_name} *)0)->{name}) == {size}, {name!r});\n"
        for name, offset, size in ours
    ]
    total = sum(size for _, _, size in ours)
    checks.append(f'_Static_assert(sizeof(struct {c_name}) == {total}, "size");\n')
    source = tmp_path / "check.c"
    includes = "#include <stddef.h>\n#include <stdint.h>\n"
    includes += "".join(f'#include "{path}"\n' for path in sorted(HEADERS.glob("*.h")))
    source.write_text(includes + "".join(checks).replace("'", '"'))
    subprocess.run([compiler, "-std=c11", "-fsyntax-only", str(source)], check=True)


def test_same_constants_as_the_c_header() -> None:
    values = defined("(?:IDT_)?NTB_SHM_")
    ours = {
        "MAGIC": page.MAGIC,
        "MAJOR": page.MAJOR,
        "MINOR": page.MINOR,
        "ENDIAN": page.ENDIAN,
        "MODEL": page.MODEL,
        "MIN_SIZE": page.MIN_SIZE,
        "PORT_OFF": page.PORT_OFF,
        "PORT_STRIDE": page.PORT_STRIDE,
        "MAX_PORTS": page.MAX_PORTS,
        "MAX_SEGS": page.MAX_SEGS,
        "NUM_MSG": page.NUM_MSG,
        "NUM_SPAD": page.NUM_SPAD,
        "DEVICE_OFF": page.DEVICE_OFF,
        "DEVICE_SIZE": AREA,
        "NUM_BARS": page.NUM_BARS,
        "IMAGE_BASE": page.IMAGE_BASE,
        "IMAGE_SIZE": page.IMAGE_SIZE,
        "LOCK_PORT": page.LOCK_PORT,
        "RING_OFF": page.RING_OFF,
        "RING_STRIDE": page.RING_STRIDE,
        "RING_FIRST": page.RING_FIRST,
        "RING_ENTRIES": page.RING_ENTRIES,
        "RINGS_END": page.RINGS_END,
        "LANES": page.LANES,
        "NOBODY": page.NOBODY,
        "CFG_LOOPBACK": page.CFG_LOOPBACK,
        "CFG_MIRROR_MW": page.CFG_MIRROR_MW,
        "LUT_BARS": page.LUT_BARS,
        "LUT_ENTRIES": page.LUT_ENTRIES,
        "INMSG_FULL": page.INMSG_FULL,
        "INMSG_SRC_SHIFT": page.INMSG_SRC_SHIFT,
        "BAR_UNMAPPED": page.BAR_UNMAPPED,
    }
    for name, value in ours.items():
        assert int(values[name], 0) == value, name


def defined(prefix: str) -> dict[str, str]:
    """The numbers that the headers define, by name without `prefix` (a pattern)."""
    return dict(re.findall(rf"#define {prefix}(\w+)\s+(0x[0-9a-fA-F]+|\d+)", TEXT))


@pytest.mark.parametrize("name", [n for n in vars(epf) if n.isupper() and n != "TYPE_CHECKING"])
def test_same_constants_of_the_endpoint_functions_area(name: str) -> None:
    assert int(defined("EPF_NTB_SHM_")[name], 0) == getattr(epf, name)


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("name", ["header", "segment", "lut", "port", "ring", "event"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_parse_and_build_are_inverse(endian, name, data) -> None:
    struct = getattr(page.layout(endian), name)
    raw = data.draw(st.binary(min_size=struct.sizeof(), max_size=struct.sizeof()))
    assert struct.build(struct.parse(raw)) == raw


@pytest.mark.parametrize("major", page.MAJORS)
def test_every_member_says_what_it_is(major: int) -> None:
    layout = page.layout("little", major)
    rings = (layout.ring, layout.event) if layout.ring else ()
    for struct in (layout.header, layout.port, *rings):
        for member in struct.subcons:
            assert member.docs or member.name.startswith("rsvd_"), member.name


def test_member_offsets() -> None:
    assert page.port_member("little", "inmsg") == (0x100, 32)
    with pytest.raises(KeyError):
        page.offset_of(page.layout("little").port, "nothing")
