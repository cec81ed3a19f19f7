# SPDX-License-Identifier: MIT
"""Window bandwidth inside a guest, against ivshmem-plain of equal size in the same guest.

    .venv/bin/python tests/bench/bench_window.py

Boots a lab of its own. One program maps BAR2 of both devices and copies with the same loop, the
two taking turns; so does a pingpong without delay, for doorbell round trips.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from run import ssh
from run.demo import tool
from tests.vm.support import Lab

SIZE = 2 << 20
CHUNK = 512 << 10
ROUNDS = 9
BUDGET = 0.95
IVSHMEM = "1af4:1110"
NTB = "111d:8091"
PROGRAM = "/dev/shm/copy"
PINGPONG_SECONDS = 10


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Two guests, the first with an ivshmem-plain besides its port."""
    plain = (
        f"-object memory-backend-file,id=plain,size={SIZE},mem-path={folder}/plain,share=on"
        " -device ivshmem-plain,memdev=plain"
    )
    # iomem=relaxed: else a BAR that a driver has claimed may not be mapped
    words = "--cmdline-common=iomem=relaxed"
    started = Lab(folder, "bench", [words, f"--vm1-opts={plain}"]).start()
    try:
        yield started
    finally:
        started.stop()


def install(lab: Lab, folder: Path) -> None:
    """Compile the copy loop and put it into VM 1."""
    source, program = Path(__file__).with_name("guest") / "copy.c", folder / "copy"
    subprocess.run(["cc", "-O2", "-static", "-o", program, source], check=True)
    port = lab.manifest.guests[0].ssh_port
    assert port is not None
    with program.open("rb") as file:
        argv = ssh.argv(port, [f"cat > {PROGRAM} && chmod +x {PROGRAM}"])
        subprocess.run(argv, stdin=file, check=True)


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


def bandwidth(lab: Lab) -> int:
    """Print medians and ratios of both directions; gives the exit code."""
    for number in (1, 2):
        lab.sh(number, tool.SWAP_CLIENT)
        lab.sh(number, tool.LINK_UP)
    lab.until(lambda: all(lab.sh(n, tool.LINK_STATE) == "Y" for n in (1, 2)))
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    traps = lab.port_block(1).win_trap
    files = f"{resource(lab, NTB)} {resource(lab, IVSHMEM)}"
    text = lab.sh(1, f"{PROGRAM} {ROUNDS} {SIZE} {CHUNK} {files}")
    code = 0
    for what in ("write", "read"):
        rows = [line.split()[1:] for line in text.splitlines() if line.startswith(what)]
        ours, theirs = (statistics.median(float(row[n]) for row in rows[1:]) for n in (0, 1))
        ratio = ours / theirs
        verdict = "ok" if ratio >= BUDGET else "BELOW BUDGET"
        print(
            f"window {what}, 2 MiB : ivshmem-plain {ours:8.0f} MiB/s / {theirs:8.0f} MiB/s ="
            f" {ratio:5.2f} (at least {BUDGET:g})  {verdict}"
        )
        code |= ratio < BUDGET
    trapped = lab.port_block(1).win_trap - traps
    print(f"accesses that trapped meanwhile: {trapped}")
    return int(code or trapped > 0)


def doorbells(lab: Lab) -> None:
    """Print round trips of a pingpong without delay, and eventfd writes for each doorbell."""
    lab.sh(1, f"cd {tool.PEER} && echo 0:0 > peer_mw_trans0")
    lab.sh(2, f"cd {tool.PEER} && echo 0 > mw_trans0")
    for number in (1, 2):
        lab.sh(number, "modprobe -r ntb_tool")
    for number in (1, 2):
        lab.sh(number, "modprobe ntb_pingpong delay_ms=0")
    before, begun = [lab.port_block(n) for n in (1, 2)], time.monotonic()
    time.sleep(PINGPONG_SECONDS)
    after, spent = [lab.port_block(n) for n in (1, 2)], time.monotonic() - begun
    rung = sum(b.db_tx - a.db_tx for a, b in zip(before, after, strict=True))
    sent = sum(b.msg_tx - a.msg_tx for a, b in zip(before, after, strict=True))
    kicks = sum(b.kicks - a.kicks for a, b in zip(before, after, strict=True))
    print(f"pingpong without delay: {rung / 2 / spent:.0f} round trips/s")
    if rung:
        print(f"  {kicks / (rung + sent):.2f} eventfd writes for each doorbell or message")


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="ntb-", dir="/dev/shm") as name,
        lab(Path(name)) as running,
    ):
        install(running, Path(name))
        result = bandwidth(running)
        doorbells(running)
    sys.exit(result)
