# SPDX-License-Identifier: MIT
"""What the bits of an x86-64 processor's registers are called, and what they add up to.

Source: Intel SDM, volume 3, 2.3 (RFLAGS), 2.5 (control registers), 2.2.1 (EFER), 4.5 (CR3).
"""

from __future__ import annotations

from collections.abc import Mapping

_FLAGS = {
    0: "CF",
    2: "PF",
    4: "AF",
    6: "ZF",
    7: "SF",
    8: "TF",
    9: "IF",
    10: "DF",
    11: "OF",
    14: "NT",
    16: "RF",
    17: "VM",
    18: "AC",
    19: "VIF",
    20: "VIP",
    21: "ID",
}
_CR0 = {
    0: "PE",
    1: "MP",
    2: "EM",
    3: "TS",
    4: "ET",
    5: "NE",
    16: "WP",
    18: "AM",
    29: "NW",
    30: "CD",
    31: "PG",
}
_CR4 = {
    0: "VME",
    1: "PVI",
    2: "TSD",
    3: "DE",
    4: "PSE",
    5: "PAE",
    6: "MCE",
    7: "PGE",
    8: "PCE",
    9: "OSFXSR",
    10: "OSXMMEXCPT",
    11: "UMIP",
    12: "LA57",
    13: "VMXE",
    14: "SMXE",
    16: "FSGSBASE",
    17: "PCIDE",
    18: "OSXSAVE",
    20: "SMEP",
    21: "SMAP",
    22: "PKE",
    23: "CET",
    24: "PKS",
    25: "UINTR",
    28: "LAM_SUP",
    32: "FRED",
}
_EFER = {
    0: "SCE",
    8: "LME",
    10: "LMA",
    11: "NXE",
    12: "SVME",
    13: "LMSLE",
    14: "FFXSR",
    15: "TCE",
    21: "AUTOIBRS",
}
NAMES = {"rflags": _FLAGS, "cr0": _CR0, "cr4": _CR4, "efer": _EFER}
"""By register and bit."""

INTERRUPTS = 1 << 9
_IOPL_SHIFT, _IOPL = 12, 3
_VM86 = 1 << 17
_PROTECTED, _LONG = 1 << 0, 1 << 10
_PCIDE = 1 << 17
ROOT = 0x000F_FFFF_FFFF_F000
"""Of CR3: where the page tables begin."""

FLAT_32 = (0x23,)
"""Selectors of 32-bit code of programs (``__USER32_CS``, arch/x86/include/asm/segment.h)."""


def bit_names(register: str, value: int) -> list[str]:
    """Names of the bits that are set, the lowest first; of one without a name its number."""
    known = NAMES[register]
    fixed = 1 << 1 | _IOPL << _IOPL_SHIFT if register == "rflags" else 0
    bits = (bit for bit in range(64) if (value & ~fixed) >> bit & 1)
    return [known.get(bit, f"bit {bit}") for bit in bits]


def io_privilege(flags: int) -> int:
    """The ring that may use I/O ports (IOPL)."""
    return flags >> _IOPL_SHIFT & _IOPL


def pcid(cr3: int, cr4: int | None) -> int | None:
    """The process-context identifier in CR3, None where CR4 has none, or is not known."""
    return cr3 & 0xFFF if cr4 is not None and cr4 & _PCIDE else None


def ring(registers: Mapping[str, int]) -> int | None:
    """The privilege level, None if nothing tells."""
    if "cpl" in registers:
        return registers["cpl"]
    return registers["cs"] & 3 if "cs" in registers else None


def mode(registers: Mapping[str, int]) -> str:
    """What kind of code runs, as far as the registers that are known tell: ``64-bit kernel``."""
    level = ring(registers)
    who = {None: "unknown ring", 0: "kernel", 3: "user"}.get(level, f"ring {level}")
    cr0, efer = registers.get("cr0"), registers.get("efer")
    if cr0 is not None and not cr0 & _PROTECTED:
        return "real mode"
    if registers.get("rflags", 0) & _VM86 and not (efer or 0) & _LONG:
        return "virtual 8086 mode"
    if efer is not None and not efer & _LONG:
        return f"32-bit {who}"
    is_32_bit = level == 3 and registers.get("cs") in FLAT_32
    return f"{'32' if is_32_bit else '64'}-bit {who}"
