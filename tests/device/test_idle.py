# SPDX-License-Identifier: MIT
"""Ports that have nothing to do cost their hosts nothing.

The machines are stopped meanwhile: an emulated PC has timers of its own. The port's timers go by
the host's clock, which goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.port import Port

#: seconds; longer than any period at which something could look around
WATCH = 1.5
TARGET = 0x1000000


def wake_ups(port: Port) -> int:
    """How often the threads of a QEMU have waited for something so far."""
    total = 0
    for task in Path(f"/proc/{port.qemu.process.pid}/task").iterdir():
        text = (task / "status").read_text()
        total += int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


def awake(*ports: Port) -> list[int]:
    """How often each wakes up for the time of the watch."""
    before = [wake_ups(port) for port in ports]
    time.sleep(WATCH)
    return [wake_ups(port) - old for port, old in zip(ports, before, strict=True)]


def test_nobody_wakes_up_for_nothing(linked: tuple[Port, Port]) -> None:
    """The link is up and windows are open."""
    for port in linked:
        port.set_window(TARGET)
    for port in linked:
        eventually(port.window_open, "the window")
    for port in linked:
        port.qemu.qmp("stop")
    eventually(lambda: not any(awake(*linked)), "sleep", 15)
    for port in linked:
        port.qemu.qmp("cont")


def test_without_a_server_ports_look_around(new_bench: Callable[..., Bench]) -> None:
    """Once a second, for peers that died: so that the test above would notice."""
    bench = new_bench()
    ports = bench.start_pair()
    bench.switch.end(softly=False)
    for port in ports:
        eventually(lambda: port.stat("flags") & 4, "the loss of the server")  # noqa: B023
        port.qemu.qmp("stop")
    assert all(awake(*ports))
