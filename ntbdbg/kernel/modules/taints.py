# SPDX-License-Identifier: MIT
"""What taints a kernel or a module, by the letters and meanings of kernel ``kernel/panic.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntbdbg.kernel.image.image import KernelImage

MEANINGS = {
    "P": "a proprietary module was loaded",
    "F": "a module was loaded by force",
    "S": "the kernel runs on a processor outside its specification",
    "R": "a module was unloaded by force",
    "M": "the processor reported a machine check",
    "B": "a bad page was found",
    "U": "taint was requested by a user program",
    "D": "the kernel died recently: an oops or a bug",
    "A": "an ACPI table was overridden",
    "W": "the kernel issued a warning",
    "C": "a staging driver was loaded",
    "I": "it works around a bug of the firmware",
    "O": "an out-of-tree module was loaded",
    "E": "an unsigned module was loaded",
    "L": "a soft lockup occurred",
    "K": "the kernel was live patched",
    "X": "auxiliary taint of the distribution",
    "T": "it was built with randomized structures",
    "N": "an in-kernel test was run",
    "J": "a firmware control interface was used",
}
"""Documentation/admin-guide/tainted-kernels.rst."""

FIXED = "PFSRMBUDAWCIOELKXTNJ"
"""Letters by bit, as they are in every kernel so far; new ones are added at the end."""


def taint_letters(kernel: KernelImage, mask: int) -> str:
    """The set bits as letters in their order; ``?`` for one that the kernel has no letter for."""
    letters = _told(kernel) or FIXED
    bits = (bit for bit in range(64) if mask >> bit & 1)
    return "".join(letters[bit] if bit < len(letters) else "?" for bit in bits)


def _told(kernel: KernelImage) -> str:
    """The kernel's own letters: its table ``taint_flags``; empty if it cannot be read."""
    from ntbdbg.errors import NtbdbgError

    try:
        layout, symbol = kernel.layouts["taint_flag"], kernel.symbol("taint_flags")
        count = min(symbol.size // layout.size, 64)
        raw = kernel.virtual.read(symbol.address, count * layout.size)
        place = layout.find("c_true")
    except NtbdbgError:
        return ""
    found = bytes(raw[i * layout.size + place.offset] for i in range(count)).rstrip(b"\0")
    text = found.decode("latin-1")
    return text if text.isalpha() and text.isascii() else ""
