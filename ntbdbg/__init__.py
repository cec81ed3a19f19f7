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
    from ntbdbg.analysis.backtraces import Backtraces as Backtraces
    from ntbdbg.analysis.backtraces import Stack as Stack
    from ntbdbg.analysis.examine import examine as examine
    from ntbdbg.analysis.export import Export as Export
    from ntbdbg.analysis.export import prepare_export as prepare_export
    from ntbdbg.analysis.postmortem import Postmortem as Postmortem
    from ntbdbg.analysis.recorded import Recorded as Recorded
    from ntbdbg.analysis.recorded import recorded as recorded
    from ntbdbg.budget import Budget as Budget
    from ntbdbg.capture.reading.capture import Capture as Capture
    from ntbdbg.errors import AmbiguousError as AmbiguousError
    from ntbdbg.errors import FaultError as FaultError
    from ntbdbg.errors import ForeignError as ForeignError
    from ntbdbg.errors import FormatError as FormatError
    from ntbdbg.errors import KernelError as KernelError
    from ntbdbg.errors import NtbdbgError as NtbdbgError
    from ntbdbg.errors import NtbError as NtbError
    from ntbdbg.errors import QmpError as QmpError
    from ntbdbg.errors import RefusedError as RefusedError
    from ntbdbg.errors import TargetError as TargetError
    from ntbdbg.errors import UntrustedError as UntrustedError
    from ntbdbg.errors import UsageError as UsageError
    from ntbdbg.inspect.journal import Patch as Patch
    from ntbdbg.inspect.search import Match as Match
    from ntbdbg.kernel.kernel import Kernel as Kernel
    from ntbdbg.kernel.log.ring import KernelLog as KernelLog
    from ntbdbg.kernel.log.ring import LogRecord as LogRecord
    from ntbdbg.kernel.modules.modules import Module as Module
    from ntbdbg.kernel.program.codec import Codec as Codec
    from ntbdbg.kernel.symbols.symbols import Symbol as Symbol
    from ntbdbg.kernel.tasks.pcidevices import PciDevice as PciDevice
    from ntbdbg.kernel.tasks.pcidevices import pci_devices as pci_devices
    from ntbdbg.kernel.tasks.system import SystemInfo as SystemInfo
    from ntbdbg.kernel.tasks.system import read_log as read_log
    from ntbdbg.kernel.tasks.system import system_info as system_info
    from ntbdbg.kernel.tasks.tasks import Task as Task
    from ntbdbg.kernel.tasks.tasks import TaskWalker as TaskWalker
    from ntbdbg.lab.guest import Guest as Guest
    from ntbdbg.lab.lab import Lab as Lab
    from ntbdbg.lab.manifest import Manifest as Manifest
    from ntbdbg.lab.options import LabOptions as LabOptions
    from ntbdbg.lab.place import Place as Place
    from ntbdbg.lab.preserved import Preserved
    from ntbdbg.lab.standstill import Standstill as Standstill
    from ntbdbg.lab.vcpus import Vcpus as Vcpus
    from ntbdbg.lab.vcpus import vcpus_of as vcpus_of
    from ntbdbg.memory.base import PhysicalMemory as PhysicalMemory
    from ntbdbg.memory.buffer import BufferMemory as BufferMemory
    from ntbdbg.memory.formats.sink import FileSink as FileSink
    from ntbdbg.memory.ramfile import RamFile as RamFile
    from ntbdbg.memory.segments import AddressRange as AddressRange
    from ntbdbg.memory.segments import Segment as Segment
    from ntbdbg.ntb.driver import Driver as Driver
    from ntbdbg.ntb.driver import read_driver as read_driver
    from ntbdbg.ntb.model import Link as Link
    from ntbdbg.ntb.recorder import Event as Event

__version__ = "0.2.0"

_HOMES = {
    "AddressRange": "ntbdbg.memory.segments",
    "AmbiguousError": "ntbdbg.errors",
    "Backtraces": "ntbdbg.analysis.backtraces",
    "Budget": "ntbdbg.budget",
    "BufferMemory": "ntbdbg.memory.buffer",
    "Capture": "ntbdbg.capture.reading.capture",
    "Codec": "ntbdbg.kernel.program.codec",
    "Driver": "ntbdbg.ntb.driver",
    "Event": "ntbdbg.ntb.recorder",
    "Export": "ntbdbg.analysis.export",
    "FaultError": "ntbdbg.errors",
    "FileSink": "ntbdbg.memory.formats.sink",
    "ForeignError": "ntbdbg.errors",
    "FormatError": "ntbdbg.errors",
    "Guest": "ntbdbg.lab.guest",
    "Kernel": "ntbdbg.kernel.kernel",
    "KernelError": "ntbdbg.errors",
    "KernelLog": "ntbdbg.kernel.log.ring",
    "Lab": "ntbdbg.lab.lab",
    "LabOptions": "ntbdbg.lab.options",
    "Link": "ntbdbg.ntb.model",
    "LogRecord": "ntbdbg.kernel.log.ring",
    "Manifest": "ntbdbg.lab.manifest",
    "Match": "ntbdbg.inspect.search",
    "Module": "ntbdbg.kernel.modules.modules",
    "NtbError": "ntbdbg.errors",
    "NtbdbgError": "ntbdbg.errors",
    "Patch": "ntbdbg.inspect.journal",
    "PciDevice": "ntbdbg.kernel.tasks.pcidevices",
    "PhysicalMemory": "ntbdbg.memory.base",
    "Place": "ntbdbg.lab.place",
    "Postmortem": "ntbdbg.analysis.postmortem",
    "QmpError": "ntbdbg.errors",
    "RamFile": "ntbdbg.memory.ramfile",
    "Recorded": "ntbdbg.analysis.recorded",
    "RefusedError": "ntbdbg.errors",
    "Segment": "ntbdbg.memory.segments",
    "Stack": "ntbdbg.analysis.backtraces",
    "Standstill": "ntbdbg.lab.standstill",
    "Symbol": "ntbdbg.kernel.symbols.symbols",
    "SystemInfo": "ntbdbg.kernel.tasks.system",
    "TargetError": "ntbdbg.errors",
    "Task": "ntbdbg.kernel.tasks.tasks",
    "TaskWalker": "ntbdbg.kernel.tasks.tasks",
    "UntrustedError": "ntbdbg.errors",
    "UsageError": "ntbdbg.errors",
    "Vcpus": "ntbdbg.lab.vcpus",
    "examine": "ntbdbg.analysis.examine",
    "pci_devices": "ntbdbg.kernel.tasks.pcidevices",
    "prepare_export": "ntbdbg.analysis.export",
    "read_driver": "ntbdbg.ntb.driver",
    "read_log": "ntbdbg.kernel.tasks.system",
    "recorded": "ntbdbg.analysis.recorded",
    "system_info": "ntbdbg.kernel.tasks.system",
    "vcpus_of": "ntbdbg.lab.vcpus",
}
"""The module of each public name. Rooms may move; these names stay (docs/api.md)."""

__all__ = ["__version__", "open", "open_files", *sorted(_HOMES)]


def open(where: Any = None, **options: Any) -> Lab:  # noqa: A001
    """The lab at `where`, or the one the environment and the running labs suggest.

    :param where: a capture, a run.json, the folder that holds it, or a dump
    :param options: ``lab``, the name of one of this user's labs, and those of `LabOptions`
    :raises UsageError: several labs run and none is named
    :raises TargetError, FormatError: what was named is absent or unusable
    """
    from ntbdbg.lab.lab import Lab

    return Lab.open(where, captures=_Captures(), **options)


def open_files(**options: Any) -> Lab:
    """Files that are named by their paths, whatever labs run: ``open_files()["./ram"]``.

    :param options: those of `LabOptions`
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
