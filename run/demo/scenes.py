# SPDX-License-Identifier: MIT
"""The scenes of the tour, in order. Each shows commands a user would type and checks the result."""

from __future__ import annotations

from run.demo import tool
from run.demo.stage import Stage

#: bytes of the inbound buffer that each guest lends to its peer
BUFFER_SIZE = 0x10000
GREETING_1 = "Hello from VM 1, through the bridge"
GREETING_2 = "And VM 2 answers"
PATCHED = "PATCHED from the host"


def play(stage: Stage) -> None:
    """All scenes."""
    status(stage)
    pingpong(stage)
    memory(stage)
    address = window(stage)
    compare(stage)
    patch(stage, address)


def status(stage: Stage) -> None:
    """Both guests run and accept ssh."""
    stage.scene("Two guests, one bridge")
    stage.run("status", "--name", stage.lab)
    for number in (1, 2):
        ports = stage.guest(number, "grep 111d8091 /proc/bus/pci/devices")
        stage.check(f"guest {number} has an IDT switch port", "111d8091" in ports, ports)
    stage.ntbdbg("info")


def pingpong(stage: Stage) -> None:
    """ntb_pingpong rings doorbells; the counters in the guests agree that it does."""
    stage.scene("ntb_pingpong rings doorbells, ntbdbg watches from the host")
    stage.say("Each guest answers a doorbell with a message and a doorbell, once a second.")
    before = [_pingpong_count(stage, n) for n in (1, 2)]
    stage.ntbdbg("watch", "--link", "--count", "8", "--timeout", "30")
    after = [_pingpong_count(stage, n) for n in (1, 2)]
    stage.check(
        f"both guests counted on: {before[0]} → {after[0]} and {before[1]} → {after[1]}",
        after[0] > before[0] and after[1] > before[1],
        (before, after),
    )


def memory(stage: Stage) -> None:
    """Raw bytes of a guest, without stopping or asking it."""
    stage.scene("Guest memory is a file; no agent, nothing to install in the guest")
    stage.ntbdbg("map", "qemu1")
    release = stage.guest(1, "uname -r")
    found = stage.ntbdbg("search", "qemu1", f"str:Linux version {release}", "--limit", "1")
    address = found.split(":")[0]
    dump = stage.ntbdbg("dump", "qemu1", f"0x{address}", "64")
    stage.check(f"the banner of Linux {release} lies in its RAM", "Linux version" in dump, dump)


def window(stage: Stage) -> int:
    """VM 1 writes through its BAR; the bytes are in VM 2's RAM. Gives that address."""
    stage.scene("A memory window, seen from both ends")
    stage.say("One NTB device has one client, and pingpong opens no window: swap it for ntb_tool.")
    for number in (1, 2):
        stage.guest(number, tool.SWAP_CLIENT, show=number == 1)
        stage.guest(number, tool.LINK_UP, show=False)
    stage.until("the link is up again", lambda: _links_up(stage))
    stage.say("VM 2 lends a buffer, VM 1 points its window there and writes.")
    address = _connect(stage, writer=1, reader=2, text=GREETING_1)
    stage.ntbdbg("windows")
    dump = stage.ntbdbg("dump", "qemu2", f"{address:#x}", "48")
    stage.check("the bytes arrived in VM 2's RAM", GREETING_1[:16] in dump, dump)
    inside = stage.guest(2, tool.read_buffer(len(GREETING_1)), show=False)
    stage.check("VM 2 itself reads the same from its buffer", inside == GREETING_1, inside)
    stage.ntbdbg("dump", "qemu1", "mw0", "48")
    return address


def compare(stage: Stage) -> None:
    """What each side sends the other, side by side."""
    stage.scene("Both directions, compared")
    _connect(stage, writer=2, reader=1, text=GREETING_2)
    shown = stage.ntbdbg("diff", "--window", "qemu1:mw0", expect=1)
    stage.check(
        "the two inbound buffers hold what the peer wrote",
        GREETING_1[:8] in shown and GREETING_2[:8] in shown,
        shown,
    )


def patch(stage: Stage, address: int) -> None:
    """A byte changed from outside, noticed inside, and taken back."""
    stage.scene("Change a guest from outside, and undo it")
    stage.ntbdbg("patch", "qemu2", f"{address:#x}", f"str:{PATCHED}")
    inside = stage.guest(2, tool.read_buffer(len(PATCHED)))
    stage.check("VM 2 sees the patch", inside == PATCHED, inside)
    stage.ntbdbg("undo")
    inside = stage.guest(2, tool.read_buffer(len(GREETING_1)))
    stage.check("and after undo the old bytes", inside == GREETING_1, inside)


def _connect(stage: Stage, *, writer: int, reader: int, text: str) -> int:
    """Lend a buffer of `reader` to `writer`, who writes `text`; gives the buffer's address."""
    address = tool.dma_address(stage.guest(reader, tool.make_buffer(BUFFER_SIZE)))
    stage.guest(writer, tool.point_window(address, BUFFER_SIZE))
    stage.guest(writer, tool.write_window(text))
    return address


def _links_up(stage: Stage) -> bool:
    return all(stage.guest(n, tool.LINK_STATE, show=False) == "Y" for n in (1, 2))


def _pingpong_count(stage: Stage, number: int) -> int:
    return int(stage.guest(number, "cat /sys/kernel/debug/ntb_pingpong/*/count", show=False))
