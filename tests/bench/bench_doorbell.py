# SPDX-License-Identifier: MIT
"""Doorbell round trips between two guests, beside those of an ivshmem-doorbell pair.

Boots a lab of its own, in which each guest has both devices. One kernel module drives both: its
interrupt handler rings back. An ivshmem-doorbell needs one register access for that, the part
three; so the comparison is made raw, and with as many accesses on both sides. Then Linux' own
ntb_pingpong plays without delay, and the shared page tells how many eventfds were written.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from run.base.deadline import Deadline
from run.steps.artifacts import QemuInstall
from tests.bench import lab as guests
from tests.bench.result import Result, at_most, tell
from tests.vm.support import BUILD_DIR, Lab

ROUND_TRIPS = 2000
ROUNDS = 9
BOTH = (1, 2)

#: what an ivshmem-doorbell's handler accesses besides its own register, to equal the part's
AGAINST = {
    "ivshmem-doorbell, as it is (1 access)": 0,
    "ivshmem-doorbell, as many accesses (3)": 2,
}

PINGPONG_SECONDS = 10


@contextmanager
def ivshmem_server(folder: Path) -> Iterator[Path]:
    """A server for the pair of ivshmem-doorbells; gives its socket."""
    program = QemuInstall.load(BUILD_DIR).ivshmem_server
    socket = folder / "bell"
    argv = [program, "-F", "-S", str(socket), "-m", str(folder), "-l", "1M", "-n", "1"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            assert Deadline(10).poll(socket.exists), "ivshmem-server makes no socket"
            yield socket
        finally:
            process.terminate()


def doorbell_device(socket: Path) -> list[str]:
    """Options that give each guest an ivshmem-doorbell."""
    words = f"-chardev socket,path={socket},id=bell -device ivshmem-doorbell,vectors=1,chardev=bell"
    return [f"--vm{number}-opts={words}" for number in BOTH]


def load(lab: Lab, module: Path) -> None:
    """Our module in the place of Linux' drivers, in both guests; VM 2 answers."""
    for number in BOTH:
        lab.sh(number, "rmmod ntb_pingpong && rmmod ntb_hw_idt")
        target = guests.install(lab, number, module)
        echo = int(number == 2)
        lab.sh(number, f"insmod {target} part={number - 1} echo={echo}")


def round_trips(lab: Lab, device: str) -> float:
    """A second."""
    file = f"/sys/module/bell/parameters/{device}"
    return ROUND_TRIPS / (int(lab.sh(1, f"echo {ROUND_TRIPS} > {file} && cat {file}")) / 1e9)


def set_extra(lab: Lab, extra: int) -> None:
    for number in BOTH:
        lab.sh(number, f"echo {extra} > /sys/module/bell/parameters/extra")


def play(lab: Lab) -> dict[str, float]:
    """One round, in which each device has its turn."""
    found = {"ours": round_trips(lab, "ntb")}
    for against, extra in AGAINST.items():
        set_extra(lab, extra)
        found[against] = round_trips(lab, "ivshmem")
    return found


def compare(lab: Lab) -> int:
    """Both devices; and one eventfd write for each doorbell. Gives the exit code."""
    play(lab)  # the first warms up
    before = [lab.port_block(n) for n in BOTH]
    rounds = [play(lab) for _ in range(ROUNDS)]
    after = [lab.port_block(n) for n in BOTH]
    for against in AGAINST:
        ours, theirs = (statistics.median(r[name] for r in rounds) for name in ("ours", against))
        # Of neighbours in time: what else the host does changes from round to round.
        ratio = statistics.median(r["ours"] / r[against] for r in rounds)
        what = "doorbell round trips, handler of 3 accesses"
        tell(Result(what, f"{ours:.0f}/s", against, f"{theirs:.0f}/s", ratio))
    rung, kicks = (
        sum(getattr(b, name) - getattr(a, name) for a, b in zip(before, after, strict=True))
        for name in ("db_tx", "kicks")
    )
    budget, holds = at_most(1, kicks / rung)
    return tell(
        Result(
            f"eventfd writes per doorbell, {rung} that wait for each other",
            f"{kicks / rung:.2f}",
            budget=budget,
            holds=holds,
        )
    )


def pingpong(lab: Lab) -> int:
    """Linux' ntb_pingpong without delay: a message and a doorbell each time."""
    for number in BOTH:
        lab.sh(number, "rmmod bell && modprobe ntb_hw_idt")
    for number in BOTH:
        lab.sh(number, "modprobe ntb_pingpong delay_ms=0")
    before, begun = [lab.port_block(n) for n in BOTH], time.monotonic()
    time.sleep(PINGPONG_SECONDS)
    after, spent = [lab.port_block(n) for n in BOTH], time.monotonic() - begun
    rung, sent, kicks = (
        sum(getattr(b, name) - getattr(a, name) for a, b in zip(before, after, strict=True))
        for name in ("db_tx", "msg_tx", "kicks")
    )
    tell(Result("round trips of ntb_pingpong, delay_ms=0", f"{rung / 2 / spent:.0f}/s"))
    if not rung:
        return 1
    ratio = kicks / (rung + sent)
    budget, holds = at_most(1, ratio)
    return tell(
        Result(
            "eventfd writes per doorbell or message of it",
            f"{ratio:.2f}",
            budget=budget,
            holds=holds,
        )
    )


if __name__ == "__main__":
    with guests.scratch() as folder:
        built = guests.module(folder, "bell")
        with (
            ivshmem_server(folder) as socket,
            guests.lab(folder, *doorbell_device(socket)) as running,
        ):
            load(running, built)
            code = compare(running)
            code |= pingpong(running)
    sys.exit(code)
