# SPDX-License-Identifier: MIT
"""Processors that spin with interrupts off: no watchdog of the guest's own can tell of them.

A guest that runs is looked at for a while. One that stands still, or is in a capture, is seen once,
and interrupts are off for a moment in any kernel: then its clock has to be behind that of its own
other processors, or behind the moment and every peer's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.analysis.interruptsoff import lasting, look
from ntbdbg.analysis.summary import state_of
from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.errors import FaultError, KernelError, NtbdbgError
from ntbdbg.kernel.alive.clock import NS, read_clocks

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Evidence, Scene
    from ntbdbg.analysis.interruptsoff import Look
    from ntbdbg.kernel.kernel import Kernel
    from ntbdbg.lab.place import GuestLike

LATE = 1.0
"""Seconds by which a tick is late where something is wrong."""

BEHIND = 3.0
"""Seconds; guests set their clocks to a whole second when they boot, and idle without ticks."""

NEAR_FRAMES = 6
"""Frames in which the module is looked for that called what spins."""


def spinning(scene: Scene) -> Iterator[Verdict]:
    """Of each guest whose kernel runs, or ran when it was captured."""
    for guest in scene.guests:
        if guest.ran and guest.guest and guest.kernel:
            yield from _of_guest(scene, guest, guest.guest, guest.kernel)


def _of_guest(scene: Scene, seen: Evidence, guest: GuestLike, kernel: Kernel) -> Iterator[Verdict]:
    moves = seen.state == "running" and not guest.lab.capture and guest.lab.stillness() is None
    if moves:
        found, watched = lasting(lambda: look(guest, kernel), scene.time)
    else:
        found, watched = look(guest, kernel), 0.0
    for one in found.values():
        if how_long := _how_long(scene, seen, guest, one, watched):
            yield _verdict(seen, kernel, one, how_long)


def _how_long(scene: Scene, seen: Evidence, guest: GuestLike, one: Look, watched: float) -> str:
    """In words; empty if nothing says that it is more than a moment."""
    if one.tick and one.tick.late_ns >= LATE * NS:
        return f"its clock has stood still for {one.tick.late_ns / NS:.1f} s"
    behind = _behind(scene, seen, guest, one)
    if behind and all(seconds >= BEHIND for seconds in behind.values()):
        words = ", ".join(f"{seconds:.0f} s by {whose}" for whose, seconds in behind.items())
        return f"its clock has stood still for about {words}"
    if not watched:
        return ""
    if one.tick is None or one.tick.due_ns is None:
        return f"whenever it was looked at for {watched:.1f} s"
    return f"its clock stood still for the {watched:.1f} s that it was watched"


def _behind(scene: Scene, seen: Evidence, guest: GuestLike, one: Look) -> dict[str, float]:
    """Seconds by which its clock is behind others of the same moment, by whose they are."""
    if one.tick is None or seen.state != "running":
        return {}
    own = one.tick.clocks.realtime_ns / NS
    whose, moment = _moment(scene, guest)
    found = {whose: moment - own}
    for name in guest.lab.names:
        other = guest.lab.guest(name)
        if other is not guest and (clock := _clock(other)) is not None:
            found[f"{name}'s clock"] = clock - own
    return found


def _moment(scene: Scene, guest: GuestLike) -> tuple[str, float]:
    if guest.lab.capture:
        return "the capture's moment", guest.lab.capture.record.moment
    still = guest.lab.stillness()
    return "the host's clock", still.moment if still else scene.time.wall()


def _clock(peer: GuestLike) -> float | None:
    """Seconds since 1970 in a guest that runs, None if it does not, or cannot be asked."""
    try:
        running = state_of(peer) == "running"
        return read_clocks(peer.kernel).realtime_ns / NS if running else None
    except NtbdbgError:
        return None


def _verdict(seen: Evidence, kernel: Kernel, one: Look, how_long: str) -> Verdict:
    frames = _frames(seen, one.cpu)
    place = _place(kernel, one.rip)
    caller = next((f for f in frames[1:NEAR_FRAMES] if f.endswith("]")), "")
    by = f", called from {caller}," if caller and not place.endswith("]") else ""
    return Verdict(
        Severity.HUNG,
        seen.name,
        f"CPU {one.cpu} in {place}{by} with interrupts off, {how_long}",
        place=place,
    )


def _place(kernel: Kernel, rip: int) -> str:
    try:
        found = kernel.symbolizer().find(rip)
    except (KernelError, FaultError):
        found = None
    if found is None:
        return f"{rip:#x}"
    symbol, _ = found
    return f"{symbol.name} [{symbol.module}]" if symbol.module else symbol.name


def _frames(seen: Evidence, cpu: int) -> tuple[str, ...]:
    try:
        return seen.traces.cpu(cpu).trace.names if seen.traces else ()
    except NtbdbgError:
        return ()
