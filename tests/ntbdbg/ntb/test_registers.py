# SPDX-License-Identifier: MIT
"""The register table, the values taken for it from the page, and the documents about both."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from ntbdbg.errors import UsageError
from ntbdbg.ntb import page
from ntbdbg.ntb.decode import decode_page
from ntbdbg.ntb.epf import area as epf
from ntbdbg.ntb.registers import BY_NAME, REGISTERS, find
from ntbdbg.ntb.regview import register_values, value_of
from tests.support.fakeswitch import FakeSwitch

DOCS = Path(__file__).parents[3] / "docs"


def values(switch: FakeSwitch, part: int = 0) -> dict[str, tuple[int, str]]:
    port = decode_page(switch.build(), "page").ports[part]
    found = register_values(port, everything=True)
    return {value.register.name: (value.value, value.source) for value in found}


def test_table_is_in_order_and_without_overlap() -> None:
    own = [register.offset for register in REGISTERS if register.offset < 0x1000]
    assert own == sorted(set(own))
    assert len(BY_NAME) == len(REGISTERS)
    for register in REGISTERS:
        covered = 0
        for field in register.fields:
            bits = (1 << field.high + 1) - (1 << field.low)
            assert not covered & bits, f"{register.name}.{field.name}"
            covered |= bits


def test_every_image_word_in_use_has_a_name() -> None:
    named = {register.offset for register in REGISTERS}
    unused = {0x41C, 0x424, 0x468, 0x46C, 0x4F8, 0x4FC}
    image = range(page.IMAGE_BASE, page.IMAGE_BASE + page.IMAGE_SIZE, 4)
    assert set(image) - named == unused


def test_reset_values_of_a_fresh_switch() -> None:
    found = values(FakeSwitch())
    for name in ("NTCTL", "NTINTMSK", "INDBELLMSK", "MSGSTSMSK", "SEMSK", "SEPMSK", "PCIELCTLSTS"):
        assert found[name][0] == BY_NAME[name].reset, name


def test_doorbells_and_messages_come_from_the_inbox() -> None:
    switch = FakeSwitch()
    switch.ring(0, 6)
    switch.send(0, 2, 0xAB, source=1)
    switch.port(0).outmsgsts = 0b1000
    found = values(switch)
    assert found["INDBELLSTS"] == (6, "inbox")
    assert found["INMSG2"] == (0xAB, "inbox")
    assert found["MSGSTS"] == (1 << 18 | 1 << 3, "inbox")
    assert found["NTINTSTS"] == (3, "mirror, inbox")
    assert values(switch, 1)["OUTMSG2"] == (0xAB, "image")


def test_masks_lower_interrupt_levels_and_sticky_bits_stay() -> None:
    switch = FakeSwitch()
    switch.ring(0, 6)
    switch.port(0).update({"indbellmsk": 6, "ntintsts": 0x08 | 3})
    assert values(switch)["NTINTSTS"][0] == 0x08


def test_message_source_is_never_the_port_itself() -> None:
    switch = FakeSwitch(3)
    assert [values(switch, part)["INMSGSRC0"][0] for part in range(3)] == [1, 0, 0]
    switch.send(0, 0, 1, source=2)
    assert values(switch)["INMSGSRC0"][0] == 2


def test_levels_win_over_the_image() -> None:
    switch = FakeSwitch()
    switch.link_up()
    switch.port(0).image[0] = 0xFF
    assert values(switch)["NTCTL"] == (2, "levels")
    assert values(switch)["NTMTBLDATA"] == (1, "levels")


def test_unknown_bits_are_not_lost() -> None:
    switch = FakeSwitch()
    switch.port(0).ntctl = 0x102
    port = decode_page(switch.build(), "page").ports[0]
    assert value_of(port, find("NTCTL")).unknown_bits == 0x100
    assert value_of(port, find("NTSDATA")).unknown_bits == 0


def test_default_choice_has_the_windows_registers() -> None:
    port = decode_page(FakeSwitch().build(), "page").ports[0]
    names = [value.register.name for value in register_values(port)]
    assert {"BARSETUP0", "BARSETUP2", "BARLIMIT2", "BARLTBASE2", "BARLIMIT3"} <= set(names)
    assert not {"BARSETUP1", "BARLIMIT0", "BARSETUP3", "LUTOFFSET"} & set(names)


def test_find() -> None:
    assert find("ntctl") is find("IDT_NT_NTCTL") is BY_NAME["NTCTL"]
    with pytest.raises(UsageError, match="INDBELLSTS"):
        find("indbellst")
    with pytest.raises(UsageError):
        find("")


def rows(text: str) -> list[list[str]]:
    lines = re.findall(r"^\| (0x[0-9a-f]+.*) \|$", text, re.MULTILINE)
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)]
        for line in lines
    ]


def register_rows(unknown_reset: str) -> list[list[str]]:
    return [
        [
            f"0x{r.offset:0{3 if r.offset < 0x1000 else 5}x}",
            r.name,
            r.access,
            unknown_reset if r.reset is None else f"0x{r.reset:08x}",
            r.doc,
        ]
        for r in REGISTERS
    ]


LAYOUT, EPF, AREA = page.layout("little"), epf.layout("little"), page.DEVICE_OFF
COMMON = [(LAYOUT.header, 0), (LAYOUT.common, 0), (LAYOUT.idt, AREA)]
DETAILS = [(part, 0) for part in (LAYOUT.segment, LAYOUT.lut, LAYOUT.ring, LAYOUT.event)]
ENDPOINT = [(EPF.area, AREA), (EPF.mw, 0)]


def page_rows(structs) -> list[list[str]]:
    found = []
    for struct, start in structs:
        offset = start
        for member in struct.subcons:
            size = member.sizeof()
            found.append([f"0x{offset:03x}", str(size), member.name, member.docs or "reserved"])
            offset += size
    return found


def test_registers_document() -> None:
    assert rows((DOCS / "registers.md").read_text()) == register_rows("*")


def test_fields_document() -> None:
    text = (DOCS / "registers.md").read_text()
    for register in REGISTERS:
        for field in register.fields:
            assert f"| {field.bits} | {field.name} | {field.doc}" in text, register.name


def test_shared_page_document() -> None:
    documented = [row for row in rows((DOCS / "shared-page.md").read_text()) if len(row) == 5]
    assert [[row[0], row[1], row[3], row[4]] for row in documented] == page_rows(
        [*COMMON, *ENDPOINT, *DETAILS]
    )


def in_qemus_manual(name: str) -> list[list[str]]:
    text = (DOCS.parent / f"qemu_src/docs/specs/{name}.rst").read_text()
    lines = re.findall(r'^   ("0x.*")$', text, re.MULTILINE)
    tables = list(csv.reader(lines, skipinitialspace=True))
    return [[cell.replace("\\*", "*") for cell in row] for row in tables]


def test_specification_in_qemus_manual() -> None:
    assert in_qemus_manual("idt-ntb") == register_rows("varies") + page_rows([*COMMON, *DETAILS])


def test_endpoint_functions_in_qemus_manual() -> None:
    documented = [row for row in in_qemus_manual("ntb-epf") if len(row) == 4]
    assert documented == page_rows(ENDPOINT)
