# SPDX-License-Identifier: MIT
"""Captures that were taken, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntbdbg.render.text import printable

if TYPE_CHECKING:
    from ntbdbg.capture.reading.verify import Finding
    from ntbdbg.capture.taking.take import Taken


def taken_line(taken: Taken) -> str:
    """What was captured and what it cost, in one line."""
    capture = taken.manifest.capture
    assert capture is not None
    names = [guest.name for guest in taken.manifest.guests]
    held = " and ".join([", ".join(names), *(["the shared page"] if taken.manifest.link else [])])
    cost = (
        f"guests stood still for {capture.standstill * 1e3:.0f} ms"
        if capture.standstill
        else (
            "no guest had to be stopped" if capture.consistent else "guests ran, so it may be torn"
        )
    )
    return f"{taken.path}: {held}, {_mib(taken.size)} on disk; {cost}"


def taken_facts(taken: Taken) -> dict[str, Any]:
    """The same for JSON."""
    capture = taken.manifest.capture
    assert capture is not None
    return {
        "path": taken.path,
        "moment": capture.moment,
        "standstill": capture.standstill,
        "changed": taken.changed,
        "consistent": capture.consistent,
        "reason": capture.reason,
        "size": taken.size,
        "shared_page": taken.manifest.link is not None,
        "guests": [
            {"name": guest.name, "state": guest.state, "vcpus": len(guest.vcpus)}
            for guest in taken.manifest.guests
        ],
        "notes": list(capture.notes),
    }


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def damage_line(found: Finding) -> str:
    """A damaged part as text."""
    damage = found.damage
    if not damage.file:
        return f"the file as a whole {damage.reason}"
    if damage.start == damage.end:
        return printable(damage.reason)
    whose = f", {found.guest}: {', '.join(map(str, found.ranges))}" if found.ranges else ""
    part = f"{damage.file}+{damage.start:#x}-{damage.end - 1:#x}"
    return printable(f"{part}{whose}: {damage.reason}")


def damage_facts(found: Finding) -> dict[str, Any]:
    """The same for JSON."""
    damage = found.damage
    return {
        "file": damage.file or None,
        "start": damage.start,
        "end": damage.end,
        "reason": damage.reason,
        "guest": found.guest,
        "ranges": [{"start": part.start, "end": part.end} for part in found.ranges],
    }
