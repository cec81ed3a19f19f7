# SPDX-License-Identifier: MIT
"""The structures that ``decode`` knows by name."""

from __future__ import annotations

from typing import Any

from ntbdbg.errors import UsageError
from ntbdbg.inspect.structs import StructDef

_PAGE_SOURCE = "qemu_src/include/hw/ntb/ntb_shm.h, docs/shared-page.md"
_BOOT_SOURCE = "Linux arch/x86/include/uapi/asm/bootparam.h, Documentation/x86/zero-page.rst"


def _nt_port() -> Any:
    from ntbdbg.ntb.page import layout

    return layout("little").port


def _header() -> Any:
    from ntbdbg.ntb.page import layout

    return layout("little").header


def _boot_params() -> Any:
    from ntbdbg.inspect.zeropage import BOOT_PARAMS

    return BOOT_PARAMS


def _state(value: int) -> str:
    return {0: "free", 1: "claimed", 2: "attached"}.get(value, "unknown")


def _flags(value: int) -> str:
    names = ("RAM_SHARED", "IOMMU", "SERVER_LOST", "UNPLUGGED")
    words = [name for bit, name in enumerate(names) if value >> bit & 1]
    unknown = value >> len(names) << len(names)
    return " ".join(words + ([f"unknown {unknown:#x}"] if unknown else [])) or "none"


def _protocol(value: int) -> str:
    return f"boot protocol {value >> 8}.{value & 0xFF:02d}"


def _e820_type(value: int) -> str:
    from ntbdbg.arch.x86.e820 import e820_kind

    return e820_kind(value)


def _loadflags(value: int) -> str:
    names = {0: "LOADED_HIGH", 1: "KASLR", 5: "QUIET", 6: "KEEP_SEGMENTS", 7: "CAN_USE_HEAP"}
    return " ".join(name for bit, name in names.items() if value >> bit & 1) or "none"


_PORT_WORDS = {"state": _state, "flags": _flags}
_BOOT_WORDS = {"version": _protocol, "type": _e820_type, "loadflags": _loadflags}

STRUCTS = {
    definition.name: definition
    for definition in (
        StructDef(
            "nt_port",
            "the guest's block of the link's shared page",
            _PAGE_SOURCE,
            _nt_port,
            "page",
            _PORT_WORDS,
        ),
        StructDef(
            "shared_page",
            "the link's shared page: header and all port blocks",
            _PAGE_SOURCE,
            _header,
            "page",
            _PORT_WORDS,
        ),
        StructDef(
            "boot_params",
            "what the boot loader told the x86 kernel (zero page)",
            _BOOT_SOURCE,
            _boot_params,
            "memory",
            _BOOT_WORDS,
        ),
        StructDef(
            "e820",
            "the BIOS memory map in boot_params",
            _BOOT_SOURCE,
            _boot_params,
            "memory",
            _BOOT_WORDS,
        ),
    )
}


def find_struct(name: str) -> StructDef:
    """The structure called `name`; UsageError names the others."""
    if name in STRUCTS:
        return STRUCTS[name]
    known = ", ".join(STRUCTS)
    raise UsageError(f"no structure {name!r:.60} is known", hint=f"known are {known}")
