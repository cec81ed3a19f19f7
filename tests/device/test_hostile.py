# SPDX-License-Identifier: MIT
"""Hostile guests and a damaged shared page: nobody else may be hurt."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from ntbdbg.ntb import page
from tests.device import port as nt
from tests.device.conftest import RAM_SIZE, Bench
from tests.device.deadline import eventually
from tests.device.port import WINDOW_SIZE, Port
from tests.device.soak import REPETITIONS
from tests.device.switch import HEADER_SIZE, PORT_OFF, PORT_SIZE, PORT_STRIDE
from tests.device.test_window import digest

pytestmark = pytest.mark.sanitized  # whatever goes wrong shall not go unseen

SEED = 20240607
OPERATIONS = 20_000
# offset, size: the blocks of a port in the shared page
BLOCKS = {
    "identity": (0x000, 0x040),
    "levels": (0x040, 0x040),
    "acks": (0x080, 0x040),
    "inbox": (0x0C0, 0x040),
    "messages": (0x100, 0x040),
    "scratchpads": (0x140, 0x100),
    "ram": (0x240, 0x1C0),
    "windows": (0x400, 0x080),
    "statistics": (0x480, 0x180),
    "mirror": (0x600, 0x100),
    "image": (0x700, 0x100),
    "tables": (0x800, PORT_SIZE - 0x800),
}

# Messages may be sent anywhere in the own RAM; that is no business of this test
MSI_CAP = range(0xD0, 0xE0)
BARS = range(0x10, 0x28)


def linked_pair(bench: Bench) -> tuple[Port, Port]:
    a, b = bench.start_pair(quiesce_timeout_ms=5)
    for port in (a, b):
        port.enable_msi()
        port.init_link_events()
        port.link_enable()
        port.set_window(0x1000000)
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    return a, b


def exercise(a: Port, b: Port) -> None:
    """Everything that makes a port look at the page."""
    for port, other in ((a, b), (b, a)):
        port.write(nt.OUTDBELLSET, 0x5)
        for m in range(4):
            port.send_message(m, other.part, m, 7)
        port.write(nt.NTGSIGNAL, 1)
        port.link_up(other)
        port.write(nt.NTCTL, 0)
        port.write(nt.NTCTL, nt.CPEN)
        port.qemu.write(port.bar2, 1)
        port.qemu.read(port.bar2 + WINDOW_SIZE - 8, 8)
        for register in range(0x400, 0x500, 4):
            port.read(register)
            port.gasa_read(nt.image_address(other.number, register))
        port.gasa_read(nt.GDBELLSTS)
        port.write(nt.INDBELLSTS, nt.ALL_ONES)
        port.write(nt.MSGSTS, nt.ALL_ONES)


def test_damaged_event_rings(bench: Bench) -> None:
    """Also when both take the ring over that others have scribbled on."""
    a, b = linked_pair(bench)
    rng = random.Random(SEED)
    for _ in range(2 + REPETITIONS):
        with bench.switch.shm.open("r+b") as file:
            file.seek(page.RING_OFF)
            file.write(rng.randbytes(page.RINGS_END - page.RING_OFF))
        exercise(a, b)
    assert [bench.ram(part).stat().st_size for part in (0, 1)] == [RAM_SIZE] * 2
    a.qemu.stop()
    again = bench.start(0, quiesce_timeout_ms=5)
    exercise(again, b)
    again.qemu.stop()
    b.qemu.stop()


@pytest.mark.parametrize("block", BLOCKS)
def test_damaged_port_block(bench: Bench, block: str) -> None:
    a, b = linked_pair(bench)
    rng = random.Random(SEED)
    offset, size = BLOCKS[block]
    for part in (0, 1):
        for _ in range(3 + REPETITIONS):
            at = PORT_OFF + part * PORT_STRIDE + offset
            bench.page.bytes[at : at + size] = rng.randbytes(size)
            # a kick that is believed to be pending is never sent
            bench.page.put(0, "kick_pending", 0)
            bench.page.put(1, "kick_pending", 0)
            exercise(a, b)
    assert [bench.ram(part).stat().st_size for part in (0, 1)] == [RAM_SIZE] * 2
    a.qemu.stop()
    b.qemu.stop()


@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_whole_page_overwritten(bench: Bench, fill: int) -> None:
    a, b = linked_pair(bench)
    bench.page.bytes[:] = bytes([fill]) * len(bench.page.bytes)
    bench.page.put(0, "kick_pending", 0)
    bench.page.put(1, "kick_pending", 0)
    exercise(a, b)
    assert len(a.qemu.log_text()) + len(b.qemu.log_text()) < 20_000
    a.qemu.stop()
    b.qemu.stop()


def test_registers_do_not_come_from_the_page(bench: Bench) -> None:
    """What a port publishes of itself is for others; it never reads it back."""
    a, b = linked_pair(bench)
    registers = [nt.NTCTL, nt.NTINTMSK, nt.INDBELLMSK, nt.MSGSTSMSK, nt.BARSETUP2, nt.BARLIMIT2]
    before = [a.read(register) for register in registers]
    for block in ("levels", "ram", "windows", "statistics", "mirror", "image", "tables"):
        offset, size = BLOCKS[block]
        at = PORT_OFF + offset
        bench.page.bytes[at : at + size] = b"\xa5" * size
    a.settle()
    assert [a.read(register) for register in registers] == before
    assert a.window_open() == bool(0xA5A5A5A5 & 1)
    a.write(nt.NTSDATA, 1)
    assert a.page.image(0, nt.NTSDATA) == 1
    assert a.stat("ntintmsk") == a.read(nt.NTINTMSK)
    assert b.qemu.alive()


Operation = Callable[[Port, random.Random], None]


def any_register(port: Port, rng: random.Random) -> None:
    offset = rng.randrange(0x400, 0x1000, 4)
    if rng.random() < 0.6:
        offset = rng.randrange(0x400, 0x500, 4)
    port.write(offset, any_value(rng))


def any_value(rng: random.Random) -> int:
    return rng.choice(
        [0, 1, 2, 3, nt.ALL_ONES, 1 << rng.randrange(32), rng.getrandbits(32), rng.getrandbits(8)]
    )


def any_config(port: Port, rng: random.Random) -> None:
    offset = rng.randrange(0x1000)
    size = rng.choice([1, 2, 4])
    touched = range(offset, offset + size)
    if any(at in touched for area in (MSI_CAP, BARS) for at in area) or offset + size > 0x1000:
        return
    port.cfg_write(offset, any_value(rng) & (1 << 8 * size) - 1, size)


def any_global(port: Port, rng: random.Random) -> None:
    base = rng.choice([0x1000, 0x5000, 0x3E000, 0x3E200, 0x3EC00, 0x3EE00, 0x3F1C0, 0])
    address = base + rng.randrange(0, 0x1000, 4)
    # the own image leads to the same configuration registers
    if address % 0x1000 in MSI_CAP or address % 0x1000 in BARS:
        return
    port.write(nt.GASAADDR, address)
    port.write(nt.GASADATA, any_value(rng))
    port.read(nt.GASADATA)


def any_read(port: Port, rng: random.Random) -> None:
    size = rng.choice([1, 2, 4, 8])
    port.qemu.read(rng.choice([port.bar0, port.config]) + rng.randrange(0x1000 - size), size)


def any_window_access(port: Port, rng: random.Random) -> None:
    size = rng.choice([1, 2, 4, 8])
    address = port.bar2 + rng.randrange(WINDOW_SIZE - size)
    port.qemu.write(address, rng.getrandbits(8 * size), size)
    port.qemu.read(address, size)


def any_translation(port: Port, rng: random.Random) -> None:
    target = rng.choice(
        [rng.randrange(0, RAM_SIZE, 4096), rng.randrange(0, RAM_SIZE), rng.getrandbits(64), 0]
    )
    size = rng.choice([0, 1, 4096, WINDOW_SIZE, rng.randrange(WINDOW_SIZE)])
    port.set_window(target & ~3, size, part=rng.choice([0, 1, 1, 1, rng.randrange(8)]))


def any_bar_move(port: Port, rng: random.Random) -> None:
    home = nt.BAR2 + nt.BAR_SPACING
    port.move_window(rng.choice([home, home + 2 * WINDOW_SIZE, 0x9_0000_0000]))


def recover(port: Port, rng: random.Random) -> None:
    """Now and then a sane state, so that deeper code is reached as well."""
    port.cfg_write(0xC4, 0, 2)
    port.move_window(nt.BAR2 + nt.BAR_SPACING)
    port.cfg_write(nt.PCI_COMMAND, nt.COMMAND_MEMORY | nt.COMMAND_MASTER, 2)
    port.link_enable()


WEIGHTED: dict[Operation, int] = {
    any_register: 40,
    any_config: 12,
    any_global: 15,
    any_read: 10,
    any_window_access: 15,
    any_translation: 4,
    any_bar_move: 2,
    recover: 2,
}


def test_random_guest(bench: Bench) -> None:
    a, b = linked_pair(bench)
    b.set_window(0, size=0)
    bystander = bench.folder / "bystander"
    bystander.write_bytes(bytes(4096))
    rng = random.Random(SEED)
    inbox = {nt.NTINTSTS, nt.INDBELLSTS, nt.MSGSTS, *range(nt.INMSG0, nt.MSGSTS, 4)}
    registers = [r for r in range(0x400, 0x500, 4) if r not in inbox]
    before = [b.read(register) for register in registers]
    a.qemu.write(a.msi_address, 0)
    own_ram = digest(bench.ram(0))
    operations = rng.choices(list(WEIGHTED), list(WEIGHTED.values()), k=OPERATIONS)
    for operation in operations:
        operation(a, rng)
    a.qemu.write(a.msi_address, 0)
    assert [b.read(register) for register in registers] == before
    assert digest(bench.ram(0)) == own_ram
    assert [bench.ram(part).stat().st_size for part in (0, 1)] == [RAM_SIZE] * 2
    assert bystander.read_bytes() == bytes(4096)
    # and both still work
    a.reset()
    a.setup()
    a.link_enable()
    b.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    b.write(nt.INDBELLSTS, nt.ALL_ONES)
    a.write(nt.OUTDBELLSET, 0x3C)
    b.settle()
    assert b.read(nt.INDBELLSTS) == 0x3C
    a.qemu.stop()
    b.qemu.stop()


def test_random_guests_on_both_sides(bench: Bench) -> None:
    """Two hostile guests at once, each in its own thread, the page damaged meanwhile."""
    ports = linked_pair(bench)
    failures: list[BaseException] = []

    def run(port: Port) -> None:
        rng = random.Random(SEED + port.part)
        try:
            for operation in rng.choices(list(WEIGHTED), list(WEIGHTED.values()), k=2000):
                operation(port, rng)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(port,)) for port in ports]
    for thread in threads:
        thread.start()
    rng = random.Random(SEED)
    while any(thread.is_alive() for thread in threads):
        at = rng.randrange(HEADER_SIZE, PORT_OFF + 2 * PORT_STRIDE - 8)
        bench.page.bytes[at : at + 8] = rng.randbytes(8)
        for thread in threads:
            thread.join(0.001)
    assert not failures
    for port in ports:
        port.qemu.stop()


def test_no_interrupt_is_lost_in_a_race(bench: Bench) -> None:
    """A receiver that looks only when told to must end up with nothing unseen."""
    a, b = linked_pair(bench)
    b.quiet()
    rings = 4000

    def ring() -> None:
        for i in range(rings):
            a.write(nt.OUTDBELLSET, 1 << i % 32)

    sender = threading.Thread(target=ring)
    seen = 0
    sender.start()
    idle = False
    while not idle:
        idle = not sender.is_alive()
        if idle:
            b.settle()
        while b.take_msi():
            idle = False
            while bits := b.read(nt.INDBELLSTS):
                seen |= bits
                b.write(nt.INDBELLSTS, bits)
    assert seen == nt.ALL_ONES
    assert b.read(nt.INDBELLSTS) == 0
    assert a.stat("db_tx") >= rings
    assert a.stat("kicks") <= a.stat("db_tx") + 100


def test_eventfd_that_would_block(bench: Bench) -> None:
    """All clients share the descriptions: one can fill another's and make it block."""
    a, b = linked_pair(bench)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(bench.switch.socket))
        fds = []
        while len(fds) < 4:  # the page, then the eventfds of a, b and this client
            fds += socket.recv_fds(client, 8, 1)[1]
        b.qemu.process.send_signal(signal.SIGSTOP)
        try:
            for fd in fds[1:3]:
                os.set_blocking(fd, False)
            os.eventfd_write(fds[2], 2**64 - 2)
            os.set_blocking(fds[2], True)
            b.page.put(1, "kick_pending", 0)
            a.write(nt.OUTDBELLSET, 4)
        finally:
            b.qemu.process.send_signal(signal.SIGCONT)
            for fd in fds:
                os.close(fd)
    b.settle()
    assert b.read(nt.INDBELLSTS) & 4
