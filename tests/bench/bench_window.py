# SPDX-License-Identifier: MIT
"""Window bandwidth inside a guest, against ivshmem-plain of equal size in the same guest.

Boots a lab of its own. One program maps BAR2 of both devices and copies with the same loop, the
two taking turns. The same through a window that is not page-aligned tells what copying by the
device costs.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from run.demo import tool
from tests.bench import lab as guests
from tests.bench.result import Result, at_least, at_most, tell
from tests.vm.support import Lab

SIZE = 2 << 20
CHUNK = 512 << 10
ROUNDS = 31
BUDGET = 0.95
IVSHMEM = "1af4:1110"
NTB = "111d:8091"
BOTH = (1, 2)

#: bytes of a measurement of accesses that trap: each takes microseconds
TRAPPED = 64 << 10


def plain(folder: Path) -> str:
    """An ivshmem-plain of the window's size, for VM 1."""
    return (
        f"--vm1-opts=-object memory-backend-file,id=plain,size={SIZE},mem-path={folder}/plain,"
        "share=on -device ivshmem-plain,memdev=plain"
    )


def resource(lab: Lab, device: str) -> str:
    """The file that maps a device's BAR2, write-combining as the drivers do it."""
    vendor, product = device.split(":")
    found = lab.sh(
        1,
        "for d in /sys/bus/pci/devices/*; do"
        f' if [ "$(cat $d/vendor):$(cat $d/device)" = "0x{vendor}:0x{product}" ]'
        "; then echo $d/resource2_wc; fi; done",
    )
    return found.splitlines()[0]


def open_window(lab: Lab) -> int:
    """From VM 1 into a buffer of VM 2, by ntb_tool; gives the buffer's address."""
    for number in BOTH:
        lab.sh(number, tool.SWAP_CLIENT)
        lab.sh(number, tool.LINK_UP)
    lab.until(lambda: all(lab.sh(n, tool.LINK_STATE) == "Y" for n in BOTH))
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    return address


Rounds = list[list[float]]


def rates(lab: Lab, words: str) -> dict[str, Rounds]:
    """MiB/s of each file in each round but the first, by direction."""
    text = lab.sh(1, words)
    found = {}
    for what in ("write", "read"):
        rows = [line.split()[1:] for line in text.splitlines() if line.startswith(what)]
        found[what] = [[float(rate) for rate in row] for row in rows[1:]]
    return found


def medians(rounds: Rounds) -> list[float]:
    """Of each file."""
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def mapped(lab: Lab, copy: str) -> int:
    """An open window, which is mapped; gives the exit code."""
    traps = lab.port_block(1).win_trap
    files = f"{resource(lab, NTB)} {resource(lab, IVSHMEM)}"
    code = 0
    for what, rounds in rates(lab, f"{copy} {ROUNDS} {SIZE} {CHUNK} {files}").items():
        ours, theirs = medians(rounds)
        # Of neighbours in time: what else the host does changes from round to round.
        ratio = statistics.median(mine / other for mine, other in rounds)
        budget, holds = at_least(BUDGET, ratio)
        code |= tell(
            Result(
                f"window {what}, 2 MiB by 512 KiB",
                f"{ours:.0f} MiB/s",
                "ivshmem-plain BAR2",
                f"{theirs:.0f} MiB/s",
                ratio,
                budget,
                holds,
            )
        )
    trapped = lab.port_block(1).win_trap - traps
    budget, holds = at_most(0, trapped)
    return code | tell(
        Result("window accesses that trapped meanwhile", str(trapped), budget=budget, holds=holds)
    )


def copied(lab: Lab, copy: str, address: int) -> None:
    """The same window four bytes further on: the device copies each access."""
    lab.sh(1, tool.point_window(address + 4, TRAPPED))
    words = f"{copy} 3 {TRAPPED // 2} {TRAPPED // 2} {resource(lab, NTB)}"
    for what, rounds in rates(lab, words).items():
        (ours,) = medians(rounds)
        tell(Result(f"window {what}, translation not page-aligned (traps)", f"{ours:.2f} MiB/s"))


if __name__ == "__main__":
    with guests.scratch() as folder, guests.lab(folder, plain(folder)) as running:
        program = guests.install(running, 1, guests.program(folder, "copy"))
        reached = open_window(running)
        code = mapped(running, program)
        copied(running, program, reached)
    sys.exit(code)
