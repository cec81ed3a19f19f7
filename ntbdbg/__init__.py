# SPDX-License-Identifier: MIT
"""See, compare, watch and change the memory of guests joined by a non-transparent bridge.

    import ntbdbg

    with ntbdbg.open() as lab:
        print(lab["qemu1"].read(0x1000, 64).hex())

`docs/api.md` is the guide. Names below are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntbdbg.lab.guest import Guest as Guest
    from ntbdbg.lab.lab import Lab as Lab
    from ntbdbg.lab.preserved import Preserved

__version__ = "0.1.0"

_HOMES = {
    "AddressRange": "ntbdbg.memory.segments",
    "BufferMemory": "ntbdbg.memory.buffer",
    "FaultError": "ntbdbg.errors",
    "FormatError": "ntbdbg.errors",
    "Guest": "ntbdbg.lab.guest",
    "KernelError": "ntbdbg.errors",
    "Lab": "ntbdbg.lab.lab",
    "Manifest": "ntbdbg.lab.manifest",
    "NtbError": "ntbdbg.errors",
    "NtbdbgError": "ntbdbg.errors",
    "PhysicalMemory": "ntbdbg.memory.base",
    "QmpError": "ntbdbg.errors",
    "RamFile": "ntbdbg.memory.ramfile",
    "Segment": "ntbdbg.memory.segments",
    "TargetError": "ntbdbg.errors",
    "UsageError": "ntbdbg.errors",
}

__all__ = ["__version__", "open", *sorted(_HOMES)]


def open(where: Any = None, **options: Any) -> Lab:  # noqa: A001
    """The lab at `where`, or the one the environment and the running labs suggest.

    See `Lab.open` for the options.
    """
    from ntbdbg.lab.lab import Lab

    return Lab.open(where, captures=_Captures(), **options)


def open_files(**options: Any) -> Lab:
    """Files that are named by their paths, whatever labs run: ``open_files()["./ram"]``.

    See `LabOptions` for the options.
    """
    from ntbdbg.lab.lab import Lab
    from ntbdbg.lab.options import LabOptions
    from ntbdbg.lab.where import NO_LAB

    return Lab(NO_LAB, LabOptions(**options), captures=_Captures())


class _Captures:
    """How captures are opened: `ntbdbg.lab.preserved.Captures`. Labs are below that room."""

    def open(self, path: str) -> Preserved:
        from ntbdbg.capture.reading.capture import Capture

        return Capture(path)

    def is_capture(self, path: str) -> bool:
        from ntbdbg.capture.reading.capture import is_capture

        return is_capture(path)

    def is_packed(self, path: str) -> bool:
        from ntbdbg.capture.reading.store import is_packed

        return is_packed(path)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ntbdbg' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
