# SPDX-License-Identifier: MIT
"""A guest's kernel at a glance, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ntbdbg.kernel.alive.sysstate import ENDED
from ntbdbg.kernel.modules.taints import MEANINGS
from ntbdbg.render.table import facts_table
from ntbdbg.render.tasks import cpu_lines
from ntbdbg.render.text import printable
from ntbdbg.units import format_numbers, short_size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ntbdbg.kernel.tasks.system import SystemInfo

NS = 1_000_000_000

_UNUSED = (
    "no processor uses its page tables: the machine is in its firmware, or another kernel starts"
)


class SystemView:
    """What the kernel is, and whether it is well."""

    def __init__(self, guest: str, info: SystemInfo) -> None:
        self.guest = guest
        self.info = info

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield facts_table((name, text) for name, text in self._facts())

    def _facts(self) -> Iterator[tuple[str, str | Text]]:
        info = self.info
        yield "guest", f"{self.guest}, calls itself {_or_unknown(info.nodename)}"
        yield "kernel", f"Linux {info.release} {printable(info.version or '')}".rstrip()
        yield "build id", info.build_id or "unknown"
        yield "loaded at", _place(info)
        yield "command line", _or_unknown(info.command_line)
        yield "uptime", uptime_words(info)
        yield "memory", _memory(info)
        yield "CPUs", ", ".join(cpu_lines(info.cpus)) or _online(info)
        yield "taints", taint_words(info.taints)
        yield "state", _state(info)
        for trouble in info.trouble:
            yield "", f"[{trouble.time_ns / NS:12.6f}] {printable(trouble.text)}"
        for number, other in zip(info.other_numbers, info.others, strict=True):
            what = f"Linux {other.release}, VMCOREINFO {other.place}"
            yield "also in RAM", f"{what}: --which-kernel {number}"


def uptime_words(info: SystemInfo) -> str:
    """``2 h 13 min 5.20 s``."""
    if info.clocks is None:
        return "unknown"
    minutes, seconds = divmod(info.clocks.boottime_ns / NS, 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    words = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join([*words, f"{seconds:.2f} s"])


def taint_words(letters: str | None) -> str:
    """``O (an out-of-tree module was loaded), …``."""
    if letters is None:
        return "unknown"
    return ", ".join(f"{c} ({MEANINGS.get(c, 'unknown')})" for c in letters) or "none"


def _place(info: SystemInfo) -> str:
    moved = (
        f"{info.kernel_offset:#x} above where it was linked" if info.kernel_offset else "as linked"
    )
    return f"{moved}, phys_base {info.phys_base:#x}"


def _online(info: SystemInfo) -> str:
    return f"{format_numbers(info.cpus_online)} online" if info.cpus_online else "unknown"


def _memory(info: SystemInfo) -> str:
    if info.memory_total is None:
        return "unknown"
    free = "unknown" if info.memory_free is None else short_size(info.memory_free)
    return f"{short_size(info.memory_total)}, {free} free"


def _state(info: SystemInfo) -> Text:
    if info.panic_cpu is not None:
        return Text(f"panicked on CPU {info.panic_cpu}", "red")
    if info.panicked:
        return Text("panicked, as its log tells", "red")
    if info.oops_in_progress:
        return Text("in an oops", "red")
    if info.system_state in ENDED:
        return Text(ENDED[info.system_state], "red")
    if info.in_use is False:
        return Text(_UNUSED, "red")
    if info.panicked is None:
        return Text("unknown: neither its own word nor its log can be read")
    return Text("no panic" + (", but its log tells of:" if info.trouble else ""))


def _or_unknown(text: str | None) -> str:
    return "unknown" if text is None else printable(text)


def system_facts(info: SystemInfo) -> dict[str, Any]:
    """The document of ``info TARGET --json`` (docs/json.md), without the guest's name."""
    facts = {name: getattr(info, name) for name in _PLAIN}
    return {
        **facts,
        "uptime_ns": info.clocks.boottime_ns if info.clocks else None,
        "realtime_ns": info.clocks.realtime_ns if info.clocks else None,
        "cpus": [asdict(cpu) for cpu in info.cpus],
        "trouble": [{**asdict(one), "kind": one.kind.value} for one in info.trouble],
        "others": [
            {"number": number, "release": one.release, "address": one.address}
            for number, one in zip(info.other_numbers, info.others, strict=True)
        ],
    }


_PLAIN = (
    "release", "version", "nodename", "banner", "command_line", "build_id", "kernel_offset",
    "phys_base", "memory_total", "memory_free", "cpus_online", "taints",
    "system_state", "in_use", "number", "panicked", "panic_cpu", "oops_in_progress", "notes",
)  # fmt: skip
