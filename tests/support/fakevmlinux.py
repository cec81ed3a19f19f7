# SPDX-License-Identifier: MIT
"""A small vmlinux, compiled and linked where a kernel is, for what debug information brings."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.fakekernel import LINK_BASE

FLAGS = "-ffreestanding -nostdlib -static -fno-pic -no-pie -mcmodel=kernel -Wl,-e,_stext"
FLAGS += " -fno-asynchronous-unwind-tables"
DATA = 0x40000
"""Bytes from the kernel's start to its data."""


def build(folder: Path, source: str, *flags: str, build_id: str = "5a" * 20, text: int = 0) -> str:
    """Its path; `text`: bytes from the kernel's start to its code."""
    path, target = folder / "vmlinux.c", folder / "vmlinux"
    path.write_text(source)
    places = [f"-Wl,-Ttext={LINK_BASE + text:#x}", f"-Wl,-Tdata={LINK_BASE + DATA:#x}"]
    argv = ["gcc", *FLAGS.split(), *places, f"-Wl,--build-id=0x{build_id}", *flags]
    subprocess.run([*argv, "-o", target, path], check=True)
    return str(target)


def symbols(path: str) -> dict[str, int]:
    """Offsets of its symbols from the kernel's start."""
    done = subprocess.run(["nm", path], check=True, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {name: int(address, 16) - LINK_BASE for address, _, name in rows}
