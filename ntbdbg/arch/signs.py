# SPDX-License-Identifier: MIT
"""What a RAM file shows at a glance of the machine it is of.

Looked for in every file that no run.json knows, so it imports nothing; `architectures` and `e820`
read on where there is a sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""Offset and size to bytes."""

STEP = 2 << 20
"""Bytes: other architectures' kernels and their device trees begin at multiples of it."""

FIRST, LAST = 256, 16
"""Steps looked at from the start, and from the end, of a RAM file."""

HEAD = 64
"""Bytes of the header of a kernel's image."""

DEVICE_TREE = b"\xd0\x0d\xfe\xed"
ARM64_IMAGE, RISCV_IMAGE = b"ARM\x64", b"RSC\x05"
ZERO_PAGE = b"HdrS"
"""In what an x86 boot loader tells the kernel (``struct setup_header``)."""

_BIOS = 0xC0
"""High byte of the real-mode segments in which a PC has its ROM."""


def has_vectors(low: bytes) -> bool:
    """Whether `low` begins as a PC's RAM does: interrupt vectors that lead into its BIOS.

    Linux leaves the first page as it was. UEFI has no such vectors.
    """
    high_bytes = low[3:1024:4]
    return len([one for one in high_bytes if one >= _BIOS]) >= 64


def foreign_heads(read: Read, size: int) -> Iterator[tuple[int, bytes]]:
    """Offset and first bytes of what may be a device tree or another architecture's kernel.

    A hundred microseconds per 256 MiB; what lies beyond the first and last places is not found.
    """
    steps = (size - HEAD) // STEP + 1 if size >= HEAD else 0
    for step in (*range(min(steps, FIRST)), *range(max(FIRST, steps - LAST), steps)):
        head = read(step * STEP, HEAD)
        if head.startswith(DEVICE_TREE) or head[56:60] in (ARM64_IMAGE, RISCV_IMAGE):
            yield step * STEP, head
