# SPDX-License-Identifier: MIT
"""What an export made, as a line and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable
from ntbdbg.units import counted, format_size

if TYPE_CHECKING:
    from ntbdbg.analysis.export import Export
    from ntbdbg.analysis.kernelfile import KernelFile


def export_facts(
    export: Export,
    form: str,
    path: str,
    size: int,
    allocated: int,
    torn: bool,
    elapsed: float,
) -> dict[str, Any]:
    """As docs/json.md has them.

    :param size: bytes of the file
    :param allocated: bytes of disk that it takes
    :param elapsed: seconds
    """
    content = export.content
    return {
        "guest": export.guest.name,
        "path": path,
        "format": form,
        "size": size,
        "allocated": allocated,
        "ram": sum(segment.size for segment in content.memory.segments),
        "vcpus": len(content.vcpus),
        "vmcoreinfo": content.vmcoreinfo is not None,
        "torn": torn,
        "elapsed": elapsed,
        "notes": list(export.notes),
    }


def export_line(facts: Mapping[str, Any]) -> str:
    """``qemu1.core: 256 MiB of RAM, 2 CPUs, VMCOREINFO; 114 MiB on disk, 0.6 s``."""
    inside = [f"{format_size(facts['ram'])} of RAM"]
    if facts["vcpus"]:
        inside.append(counted(facts["vcpus"], "CPU"))
    if facts["vmcoreinfo"]:
        inside.append("VMCOREINFO")
    took = f"{format_size(_whole(facts['allocated']))} on disk, {facts['elapsed']:.1f} s"
    return f"{printable(facts['path'])}: {', '.join(inside)}; {took}"


def kernel_facts(made: KernelFile, form: str, path: str, elapsed: float) -> dict[str, Any]:
    """Of a file that holds no memory, as docs/json.md has them."""
    return {
        "guest": made.guest.name,
        "path": path,
        "format": form,
        "size": made.size,
        "symbols": made.symbols,
        "types": made.types,
        "modules": list(made.modules),
        "elapsed": elapsed,
        "notes": list(made.notes),
    }


def kernel_line(facts: Mapping[str, Any]) -> str:
    """``qemu1.json: 88582 symbols, 12011 types; 11 MiB, 3.1 s``."""
    inside = [f"{facts['symbols']} symbols", f"{facts['types']} types"]
    if facts["modules"]:
        count = len(facts["modules"])
        inside.append(f"{count} module{'s' * (count > 1)}")
    took = f"{format_size(_whole(facts['size']))}, {facts['elapsed']:.1f} s"
    return f"{printable(facts['path'])}: {', '.join(inside)}; {took}"


def _whole(size: int) -> int:
    """Whole MiB of what is large."""
    return size if size < 1 << 20 else size >> 20 << 20
