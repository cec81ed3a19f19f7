# SPDX-License-Identifier: MIT
"""Stacks as a guest's own kernel tells them, in its log and in /proc."""

from __future__ import annotations

import re

_STAMP = re.compile(r"^\[ *[0-9.]+\] ?", re.MULTILINE)
_TASK = re.compile(r"^task:.{15} +state:\S.*? pid:(\d+)", re.MULTILINE)
#: lines with a question mark are what was found on a stack and is no caller
_FRAME = re.compile(r"^ +([\w.]+\+0x[0-9a-f]+)/0x[0-9a-f]+((?: \[\w+\])?)$", re.MULTILINE)


def last_trace(log: str) -> list[str]:
    """The callers in the last call trace of a log: ``vfs_write+0xc7``, ``ntb_x+0x1 [ntb]``."""
    return _frames(_STAMP.sub("", log).rpartition("Call Trace:")[2].partition("</TASK>")[0])


def of_processor(log: str, number: int) -> list[str]:
    """What sysrq-l told last of a processor: where it was, and the callers; [] if nothing."""
    text = _STAMP.sub("", log).rpartition(f"NMI backtrace for cpu {number}\n")[2]
    here = re.search(r"^RIP: 0010:(.*)$", text.partition("Call Trace:")[0], re.MULTILINE)
    if here is None:
        return []
    trace = text.partition("Call Trace:")[2].partition("</TASK>")[0]
    return [*_frames(f" {here[1]}"), *_frames(trace)]


def of_tasks(log: str) -> dict[int, list[str]]:
    """What sysrq-t told last of each task, by pid."""
    text = _STAMP.sub("", log).rpartition("sysrq: Show State")[2]
    _, *parts = _TASK.split(text)
    return {int(pid): _frames(body) for pid, body in zip(parts[::2], parts[1::2], strict=True)}


def of_proc(text: str) -> dict[int, list[str]]:
    """/proc/PID/stack of every task, each headed by ``== PID``."""
    found = {}
    for part in text.split("== ")[1:]:
        pid, *lines = part.splitlines()
        bare = (line.partition("] ")[2] for line in lines if line.startswith("[<"))
        found[int(pid)] = _frames("".join(f" {line}\n" for line in bare))
    return found


def _frames(text: str) -> list[str]:
    return [name + module for name, module in _FRAME.findall(text)]
