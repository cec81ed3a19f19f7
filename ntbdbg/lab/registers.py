# SPDX-License-Identifier: MIT
"""Registers of every virtual processor, from QEMU's monitor while it stands still.

QMP has no command for them, the human monitor has ``info registers -a``; its text is that of
``x86_cpu_dump_state`` (QEMU ``target/i386/cpu-dump.c``, the same since 1.0 for what is taken).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import QmpError
from ntbdbg.kernel.image.limits import MOST_CPUS
from ntbdbg.lab.manifest import VcpuRecord

if TYPE_CHECKING:
    from ntbdbg.lab.qmp import Qmp

NEEDED = ("rip", "rsp", "rbp", "rflags", "cr3", "cs_base", "gs_base")
"""Without these a processor's state is of no use, so their absence is an error."""

_CPU = re.compile(r"^CPU#(\d{1,6})\s*$", re.MULTILINE)
_SEGMENT = re.compile(
    r"^(ES|CS|SS|DS|FS|GS|LDT|TR) ?= ?([0-9a-f]{4}) ([0-9a-f]{8,16})\b", re.MULTILINE
)
_TABLE = re.compile(r"^(GDT|IDT) ?= +([0-9a-f]{8,16}) ([0-9a-f]{8})\b", re.MULTILINE)
_FLAG = re.compile(r"\b(CPL|HLT)=([0-9])\b")
_PLAIN = re.compile(
    r"\b(R[A-D]X|E[A-D]X|[RE][SD]I|[RE][BSI]P|R[89]|R1[0-5]|RFL|EFL|CR[0-4]|DR[0-7]|EFER)"
    r" ?=([0-9a-f]{8,16})\b"
)

_NAMES = {"rfl": "rflags", "hlt": "halted"}


def read_registers(qmp: Qmp) -> tuple[VcpuRecord, ...]:
    """Every processor of the guest behind `qmp`, by number; torn unless it stands still.

    :raises QmpError: QEMU refuses, or says something that is not understood
    """
    found = parse_registers(qmp.human("info registers -a"))
    if not found:
        raise QmpError(
            f"{qmp.who}: QEMU's 'info registers -a' is not understood",
            hint="only x86 guests' registers are known",
        )
    return found


def parse_registers(text: str) -> tuple[VcpuRecord, ...]:
    """The processors in the text of ``info registers -a``; those without the needed are left out.

    One that is not in 64-bit mode has 32-bit registers there (``EAX``); they get 64-bit names.
    """
    parts = _CPU.split(text)[1:]
    pairs = list(zip(parts[::2], parts[1::2], strict=False))[:MOST_CPUS]
    records = (VcpuRecord(int(number), dict(_registers(body))) for number, body in pairs)
    return tuple(record for record in records if all(n in record.registers for n in NEEDED))


def _registers(body: str) -> Iterator[tuple[str, int]]:
    # What follows are floating point and vectors, whose values would be taken for others.
    body = body.partition("\nFCW=")[0]
    for name, value in _PLAIN.findall(body):
        yield _name(name), int(value, 16)
    for name, selector, base in _SEGMENT.findall(body):
        yield name.lower(), int(selector, 16)
        yield f"{name.lower()}_base", int(base, 16)
    for name, base, limit in _TABLE.findall(body):
        yield f"{name.lower()}_base", int(base, 16)
        yield f"{name.lower()}_limit", int(limit, 16)
    for name, value in _FLAG.findall(body):
        yield _name(name), int(value)


def _name(name: str) -> str:
    lower = name.lower()
    wide = "r" + lower[1:] if lower[0] == "e" and lower != "efer" else lower
    return _NAMES.get(wide, wide)
