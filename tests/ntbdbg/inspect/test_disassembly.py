# SPDX-License-Identifier: MIT
"""Code to instructions, and the addresses that they name."""

from __future__ import annotations

import pytest

from ntbdbg.inspect.disassembly import Instruction, disassemble

TEXT = 0xFFFF_FFFF_8100_0000


def one(code: str) -> Instruction:
    (found,) = disassemble(bytes.fromhex(code), TEXT)
    assert found.raw.hex() == code
    return found


@pytest.mark.parametrize(
    ("code", "text", "target"),
    [
        ("e8fbffffff", "callq 0xffffffff81000000", TEXT),
        ("750a", "jne 0xffffffff8100000c", TEXT + 12),
        ("488b0510000000", "movq 0x10(%rip), %rax", TEXT + 0x17),
        ("ff1500000000", "callq *(%rip)", TEXT + 6),
        ("488b04c5a0112281", "movq -0x7eddee60(, %rax, 8), %rax", 0xFFFF_FFFF_8122_11A0),
        ("48c7c7a0112281", "movq $0xffffffff812211a0, %rdi", 0xFFFF_FFFF_8122_11A0),
        ("658b0500000000", "movl %gs:(%rip), %eax", None),
        ("48c7c001000000", "movq $1, %rax", None),
        ("0f0b", "ud2", None),
        ("c3", "retq", None),
    ],
)
def test_instructions_and_what_they_name(code: str, text: str, target: int | None) -> None:
    found = one(code)
    assert (found.text, found.target) == (text, target)


def test_intel_syntax() -> None:
    (found,) = disassemble(bytes.fromhex("488b0510000000"), TEXT, "intel")
    assert found.text == "mov rax, qword ptr [rip + 0x10]"


def test_bytes_that_are_no_instruction() -> None:
    found = list(disassemble(b"\x06" + b"\x90" * 20, TEXT))
    assert (found[0].text, found[0].end) == (".byte 0x06", TEXT + 1)
    assert [one.text for one in found[1:]] == ["nop"] * 20


def test_what_is_cut_short_is_left_out() -> None:
    assert [one.text for one in disassemble(bytes.fromhex("90e8fbff"), TEXT)] == ["nop"]


def test_the_last_page() -> None:
    (found,) = disassemble(b"\xeb\x7f", (1 << 64) - 2)
    assert found.target == 0x7F
