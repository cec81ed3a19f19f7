# SPDX-License-Identifier: MIT
"""Registers out of the text of QEMU's human monitor, which a guest has its values in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.arch.x86_64 import X86_64
from ntbdbg.errors import FormatError, QmpError
from ntbdbg.lab.manifest import Manifest, VcpuRecord
from ntbdbg.lab.registers import parse_registers, read_registers
from tests.support.fakelab import FakeLab
from tests.support.fakeqmp import REGISTERS

REAL_MODE = """
CPU#1
EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1
ES =0000 00000000 0000ffff 00009300
CS =f000 ffff0000 0000ffff 00009b00
SS =0000 00000000 0000ffff 00009300
DS =0000 00000000 0000ffff 00009300
FS =0000 00000000 0000ffff 00009300
GS =0000 00000000 0000ffff 00009300
LDT=0000 00000000 0000ffff 00008200
TR =0000 00000000 0000ffff 00008b00
GDT=     00000000 0000ffff
IDT=     00000000 0000ffff
CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000
DR6=00000000ffff0ff0 DR7=0000000000000400
EFER=0000000000000000
FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80
"""


def test_a_processor_in_long_mode() -> None:
    (cpu,) = parse_registers(REGISTERS, X86_64)
    assert cpu.index == 0
    wanted = {
        "rax": 1,
        "rdi": 5,
        "rbp": 0xFFFFB2C0400A3E48,
        "rsp": 0xFFFFB2C0400A3E10,
        "r8": 8,
        "r15": (1 << 64) - 1,
        "rip": 0xFFFFFFFF81E3F7AB,
        "rflags": 0x246,
        "cpl": 0,
        "halted": 1,
        "cs": 0x10,
        "cs_base": 0,
        "fs_base": 0x7F1D5A3C0740,
        "gs_base": 0xFFFF9A7F7EC00000,
        "tr": 0x40,
        "tr_base": 0xFFFFFE0000003000,
        "gdt_limit": 0x7F,
        "idt_base": 0xFFFFFE0000000000,
        "cr0": 0x80050033,
        "cr2": 0x7FFD0C1F2FF8,
        "cr3": 0x2610000,
        "cr4": 0x6F0,
        "dr6": 0xFFFF0FF0,
        "dr7": 0x400,
        "efer": 0xD01,
    }
    assert {name: cpu.registers[name] for name in wanted} == wanted


def test_one_that_has_not_started_has_the_same_names() -> None:
    first, second = parse_registers(REGISTERS + REAL_MODE, X86_64)
    assert [first.index, second.index] == [0, 1]
    assert second.registers.keys() == first.registers.keys() - {f"r{n}" for n in range(8, 16)}
    assert second.registers["rip"] == 0xFFF0
    assert second.registers["cs_base"] == 0xFFFF0000


@pytest.mark.parametrize("cut", ["RIP", "CR3=", "GS ="])
def test_a_processor_without_what_is_needed_is_left_out(cut: str) -> None:
    assert parse_registers(REGISTERS.replace(cut, "XX"), X86_64) == ()


@given(st.text(max_size=200), st.integers(0, len(REGISTERS)))
def test_any_text_gives_whole_processors_or_none(noise: str, at: int) -> None:
    for cpu in parse_registers(REGISTERS[:at] + noise + REGISTERS[at:], X86_64):
        assert set(X86_64.registers.needed) <= cpu.registers.keys()
        assert all(0 <= value < 1 << 64 for value in cpu.registers.values())


class SaysOnly:
    """A monitor that has one answer."""

    who = "qemu1"

    def __init__(self, text: str) -> None:
        self.text = text

    def human(self, line: str) -> str:
        assert line == "info registers -a"
        return self.text


def test_what_is_not_understood_is_an_error() -> None:
    assert read_registers(SaysOnly(REGISTERS), "x86_64")[0].index == 0  # type: ignore[arg-type]
    with pytest.raises(QmpError, match="'info registers -a' is not understood"):
        read_registers(SaysOnly("unknown command: 'info registers'"), "x86_64")  # type: ignore[arg-type]


def test_registers_go_through_the_manifest(lab: FakeLab) -> None:
    cpu = VcpuRecord(0, {"rip": (1 << 64) - 1, "cr3": 0x1000})
    lab.edit("qemu1", vcpus=(cpu,), state="running")
    assert Manifest.load(lab.path).guest("qemu1").vcpus == (cpu,)
    assert list(lab.manifest.to_json()["guests"][0]["vcpus"]) == [
        {"index": 0, "registers": {"rip": (1 << 64) - 1, "cr3": 0x1000}}
    ]


@pytest.mark.parametrize(
    ("registers", "why"),
    [
        ([], r"guests\[0\].vcpus\[0\].registers should be an object"),
        ({"rip": "0"}, r"vcpus\[0\].registers.rip should be of type int, it is '0'"),
        ({"rip": -1}, r"vcpus\[0\].registers.rip is negative"),
    ],
)
def test_registers_that_are_none_are_refused(lab: FakeLab, registers: object, why: str) -> None:
    data = lab.manifest.to_json()
    data["guests"][0]["vcpus"] = [{"index": 0, "registers": registers}]
    with pytest.raises(FormatError, match=why):
        Manifest.from_json(data)
