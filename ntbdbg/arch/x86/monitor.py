# SPDX-License-Identifier: MIT
"""Registers of x86 processors in the text of QEMU's ``info registers -a``.

It is that of ``x86_cpu_dump_state`` (QEMU ``target/i386/cpu-dump.c``, the same since 1.0 for what
is taken).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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


def processors(text: str) -> Iterator[tuple[int, dict[str, int]]]:
    """Number and registers of each.

    One that is not in 64-bit mode has 32-bit registers there (``EAX``); they get 64-bit names.
    """
    parts = _CPU.split(text)[1:]
    for number, body in zip(parts[::2], parts[1::2], strict=False):
        yield int(number), dict(_registers(body))


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
