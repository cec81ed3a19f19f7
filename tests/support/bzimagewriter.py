# SPDX-License-Identifier: MIT
"""Writes bzImages and modules for tests, from Linux Documentation/arch/x86/boot.rst."""

from __future__ import annotations

import gzip
import struct
import subprocess
from pathlib import Path

SETUP_SECTORS = 3

#: an unpacked kernel that has everything that is looked for
VMLINUX = b"\x7fELF and so on\0.BTF\0SYMBOL(%s)=%lx\n\0ntb_hw_idt\0"


def bzimage(
    release: str = "6.6.6-mine",
    payload: bytes | None = None,
    *,
    protocol: int = 0x020F,
    xloadflags: int = 1,
) -> bytes:
    """A bzImage around a compressed kernel."""
    payload = gzip.compress(VMLINUX) if payload is None else payload
    banner = f"{release} (me@here) #1 SMP Mon Nov 30 12:00:00 UTC 2026".encode()
    head = bytearray((SETUP_SECTORS + 1) * 512)
    head[0x1F1] = SETUP_SECTORS
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, protocol)
    struct.pack_into("<H", head, 0x20E, 0x400 - 512)
    struct.pack_into("<H", head, 0x236, xloadflags)
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    head[0x400 : 0x400 + len(banner)] = banner
    return bytes(head) + bytes(16) + payload + bytes(32)


def write_module(
    path: Path, release: str = "6.6.6-mine", *, depends: str = "", alias: str = ""
) -> Path:
    """A kernel module that says these things of itself, and has debug information."""
    name = path.name.partition(".")[0].replace("-", "_")
    words = [f"vermagic={release} SMP preempt mod_unload", f"depends={depends}", f"name={name}"]
    words += [f"alias={alias}"] if alias else []
    text = "".join(f"{word}\\0" for word in words)
    code = f'__attribute__((section(".modinfo"), used)) static const char m[] = "{text}";\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = ["gcc", "-g", "-c", "-x", "c", "-", "-o", str(path)]
    subprocess.run(argv, input=code, text=True, check=True)
    return path
