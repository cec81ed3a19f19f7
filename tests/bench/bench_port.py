# SPDX-License-Identifier: MIT
"""What ports cost without a guest: closing, translating, ringing, and doing nothing.

QEMUs under the qtest accelerator, so that no guest's work is measured. Where a time is told, what
a register write that does nothing takes over the same socket is subtracted.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.result import Result, at_most, tell
from tests.device import port as nt
from tests.device.conftest import Bench, qemu_build
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE, Port
from tests.device.test_idle import wake_ups

TARGET = 0x1000000
UPDATES = 10_000
CLOSES = 400
DOORBELLS = 100_000
BATCH = 250  # lines whose answers fit into a socket's buffer
IDLE_SECONDS = 10

#: milliseconds: what NTCTL = 0 must not take longer than where all ports answer
CLOSE_BUDGET_MS = 50


@contextmanager
def linked(count: int) -> Iterator[list[Port]]:
    """That many ports, each a QEMU, the link up between all and a window open from each."""
    with ExitStack() as stack:
        bench = Bench(qemu_build(), stack)
        ports = [bench.start(part, nports=count) for part in range(count)]
        for port in ports:
            eventually(lambda: all(port.sees_port(p) for p in ports))  # noqa: B023
            port.init_link_events(count)
            port.link_enable()
            port.set_window(TARGET, part=(port.part + 1) % count)
        for port in ports:
            eventually(port.window_open, "the windows")
        yield ports
        for port in ports:
            port.qemu.stop()


def write(port: Port, register: int, value: int) -> str:
    return f"writel {port.bar0 + register:#x} {value:#x}"


def run(port: Port, lines: Sequence[str], times: int) -> float:
    """Seconds that `lines` take, sent `times` times without waiting for each answer."""
    batch = list(lines) * (BATCH // len(lines))
    begun = time.monotonic()
    for _ in range(times * len(lines) // len(batch)):
        port.qemu.begin(batch)
        port.qemu.finish(len(batch))
    return time.monotonic() - begun


def translation(port: Port) -> None:
    """Setting and clearing the translation of a window that is open in between."""
    limit = port.bar2 + WINDOW_SIZE
    update = [
        write(port, nt.BARLTBASE2, TARGET),
        write(port, nt.BARUTBASE2, 0),
        write(port, nt.BARLIMIT2, limit),
        write(port, nt.BARLIMIT3, limit >> 32),
        write(port, nt.BARLIMIT2, 0),
    ]
    port.write(nt.BARLIMIT2, 0)
    before = port.stat("win_map")
    spent = run(port, update, UPDATES)
    opened = port.stat("win_map") - before
    assert opened == UPDATES, f"the window opened {opened} times"
    spent -= run(port, [write(port, nt.NTSDATA, 0)] * len(update), UPDATES)
    each = spent / UPDATES * 1e6
    tell(Result(f"opening and closing a window, {UPDATES} times", f"{each:.1f} µs"))
    port.set_window(TARGET, part=1 - port.part)


def timed(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return (time.monotonic() - begun) * 1e3


def closing(ports: list[Port]) -> int:
    """NTCTL = 0 returns when every other port has let go; gives the exit code."""
    port, *others = ports
    times = []
    for _ in range(CLOSES):
        times.append(timed(lambda: port.write(nt.NTCTL, 0)))
        port.write(nt.NTCTL, nt.CPEN)
        eventually(others[-1].window_open, "the window")
    plain = statistics.median(timed(lambda: port.write(nt.NTSDATA, 0)) for _ in range(CLOSES))
    median, worst = (statistics.quantiles(times, n=100)[n] - plain for n in (49, 98))
    assert port.stat("quiesce_timeouts") == 0
    budget, holds = at_most(CLOSE_BUDGET_MS, worst)
    return tell(
        Result(
            f"closing the link, {len(ports)} ports, {CLOSES} times: median, 99 %",
            f"{median:.2f} ms, {worst:.2f} ms",
            budget=f"{budget} ms",
            holds=holds,
        )
    )


def pending(sender: Port, receiver: Port) -> int:
    """Doorbells while one is pending: the receiver stands still. Gives the exit code."""
    receiver.settle()
    before = sender.stat("db_tx"), sender.stat("kicks")
    receiver.qemu.process.send_signal(signal.SIGSTOP)
    try:
        spent = run(sender, [write(sender, nt.OUTDBELLSET, 1)], DOORBELLS)
    finally:
        receiver.qemu.process.send_signal(signal.SIGCONT)
    rung, kicks = sender.stat("db_tx") - before[0], sender.stat("kicks") - before[1]
    receiver.settle()
    assert rung == DOORBELLS
    budget, holds = at_most(1, kicks)
    code = tell(
        Result(
            f"eventfd writes, {DOORBELLS} doorbells while the first is pending",
            str(kicks),
            budget=budget,
            holds=holds,
        )
    )
    spent -= run(sender, [write(sender, nt.NTSDATA, 0)], DOORBELLS)
    tell(Result("a doorbell that is merged", f"{spent / DOORBELLS * 1e6:.1f} µs"))
    return code


def idle(ports: list[Port]) -> int:
    """Ports with the link up and open windows, and nothing to do. Gives the exit code.

    The machines stand still, because an emulated PC has timers of its own; ports go by the host's
    clock.
    """
    for port in ports:
        port.settle()
        port.qemu.qmp("stop")
    time.sleep(1)
    before = sum(map(wake_ups, ports))
    time.sleep(IDLE_SECONDS)
    woken = sum(map(wake_ups, ports)) - before
    for port in ports:
        port.qemu.qmp("cont")
    budget, holds = at_most(0, woken)
    return tell(
        Result(
            f"wake-ups of {len(ports)} idle ports in {IDLE_SECONDS} s",
            str(woken),
            budget=budget,
            holds=holds,
        )
    )


def main() -> int:
    """Print all; gives the exit code."""
    with linked(2) as pair:
        code = idle(pair)
        code |= pending(*pair)
        translation(pair[0])
        code |= closing(pair)
    with linked(6) as six:
        code |= closing(six)
    return code


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(main())
