# SPDX-License-Identifier: MIT
"""ivshmem-server goes, comes back, is another one, or lies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from tests.device import port as nt
from tests.device.conftest import Bench
from tests.device.deadline import eventually
from tests.device.fakeserver import SHM, VERSION, FakeServer, eventfd
from tests.device.port import Port
from tests.device.qtest import failed_start
from tests.device.soak import REPETITIONS

Pair = tuple[Port, Port]
SERVER_LOST = 4


@pytest.fixture
def reconnecting(new_bench: Callable[..., Bench]) -> tuple[Bench, Port, Port]:
    """Two linked ports whose chardevs have reconnect-ms."""
    bench = new_bench()
    a, b = bench.start(0, reconnect=True), bench.start(1, reconnect=True)
    for port in (a, b):
        port.enable_msi()
        port.init_link_events()
        port.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    for port in (a, b):
        port.quiet()
    return bench, a, b


def lost(port: Port) -> bool:
    return bool(port.stat("flags") & SERVER_LOST)


def assert_doorbells_pass(a: Port, b: Port) -> None:
    for sender, receiver in ((a, b), (b, a)):
        receiver.write(nt.INDBELLSTS, nt.ALL_ONES)
        receiver.take_msi()
        sender.write(nt.OUTDBELLSET, 8)
        eventually(receiver.take_msi, "the doorbell's interrupt")
        assert receiver.read(nt.INDBELLSTS) == 8
        receiver.write(nt.INDBELLSTS, nt.ALL_ONES)


@pytest.mark.parametrize("softly", [True, False], ids=["SIGTERM", "SIGKILL"])
def test_server_comes_back_with_its_page(
    reconnecting: tuple[Bench, Port, Port], softly: bool
) -> None:
    bench, a, b = reconnecting
    a.set_window(0x100000)
    for _ in range(REPETITIONS):
        incarnations = [port.stat("incarnation") for port in (a, b)]
        bench.switch.end(softly)
        eventually(lambda: lost(a) and lost(b), "the loss to be noticed")
        assert_doorbells_pass(a, b)
        bench.restart_server(same_page=True, softly=softly)
        eventually(lambda: not lost(a) and not lost(b), "both ports to be back")
        assert a.stat("server_pid") == bench.switch.process.pid
        assert a.stat("ivshmem_id") != b.stat("ivshmem_id")
        assert_doorbells_pass(a, b)
        assert a.link_up(b)
        assert b.link_up(a)
        assert a.window_open()
        for port in (a, b):
            assert port.read(nt.NTINTSTS) == 0  # nobody was told of any change
        assert [port.stat("incarnation") for port in (a, b)] == incarnations
    assert a.stat("win_map") == 1


def test_no_kick_is_lost_while_servers_change(new_bench: Callable[..., Bench]) -> None:
    """Ports change servers at different moments, and each server gives out other ids."""
    bench = new_bench()
    ports = [bench.start(part, reconnect=True, nports=3) for part in (2, 0, 1)]
    for port in ports:
        port.link_enable()
    for port in ports:
        eventually(lambda: all(port.sees_port(other) for other in ports), "all ports")  # noqa: B023
    for turn in range(REPETITIONS):
        for port in ports:
            port.write(nt.INDBELLSTS, nt.ALL_ONES)
        bench.restart_server(same_page=True)
        rung = [0, 0, 0]
        while not rung[0] or any(lost(port) for port in ports):
            for n, port in enumerate(ports):
                bit = 1 << (turn + n * 8) % 32
                port.write(nt.OUTDBELLSET, bit)
                rung[n] |= bit
        for n, port in enumerate(ports):
            port.settle()  # a kick that went to somebody else would be pending for ever
            assert port.read(nt.INDBELLSTS) == rung[n - 1] | rung[n - 2]


def test_new_guest_joins_after_the_server_is_back(
    reconnecting: tuple[Bench, Port, Port],
) -> None:
    bench, a, b = reconnecting
    bench.restart_server(same_page=True)
    eventually(lambda: not lost(a), "the port to be back")
    b.qemu.kill()
    eventually(lambda: not a.sees_port(b), "the death of the peer to be seen")
    b = bench.start(1)
    b.enable_msi()
    b.init_link_events()
    b.link_enable()
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    assert_doorbells_pass(a, b)


@pytest.mark.parametrize("restarted", [False, True])
def test_peer_killed_without_a_server(
    reconnecting: tuple[Bench, Port, Port], restarted: bool
) -> None:
    """`restarted`: the victim is dead before the new server hears of it."""
    bench, a, b = reconnecting
    bench.switch.end(softly=False)
    eventually(lambda: lost(a) and lost(b), "the loss to be noticed")
    b.qemu.kill()
    if restarted:
        bench.restart_server(same_page=True)
    eventually(lambda: not a.sees_port(b), "the death of the peer to be seen")
    assert a.read(nt.NTINTSTS) == nt.SEVENT
    assert a.gasa_read(nt.SELINKDNSTS) == 1 << 2


def test_server_with_another_page_is_a_power_cycle(
    reconnecting: tuple[Bench, Port, Port],
) -> None:
    bench, a, b = reconnecting
    a.set_window(0x100000)
    eventually(a.window_open, "the window")
    mask = a.read(nt.NTINTMSK)
    for _ in range(REPETITIONS):
        bench.restart_server()
        page = bench.switch.page
        assert page is not None
        a.page = b.page = page
        eventually(lambda: a.stat("state") == b.stat("state") == 2, "both ports to be there")
        eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
        for port, other in ((a, b), (b, a)):
            port.settle()
            assert port.read(nt.NTINTSTS) == nt.SEVENT
            assert port.gasa_read(nt.SELINKDNSTS) == 1 << other.number
            assert port.gasa_read(nt.SELINKUPSTS) == 1 << other.number
            port.quiet()
        assert a.read(nt.NTINTMSK) == mask
        assert_doorbells_pass(a, b)
        eventually(a.window_open, "the window to be open again")
        a.qemu.write(a.bar2, 0x55AA55AA)
        assert b.qemu.read(0x100000) == 0x55AA55AA
        a.qemu.write(a.bar2, 0)
        b.link_disable()  # and closing is answered on the new page
        assert a.stat("quiesce_timeouts") == b.stat("quiesce_timeouts") == 0
        a.settle()
        assert not a.window_open()
        b.link_enable()
        for port in (a, b):
            port.quiet()
    a.qemu.stop()
    b.qemu.stop()


def test_new_switch_that_does_not_want_the_port(
    reconnecting: tuple[Bench, Port, Port], new_bench: Callable[..., Bench]
) -> None:
    """Its port is taken by another process: the old link is kept."""
    bench, a, b = reconnecting
    other = new_bench()
    other.start_pair()
    with_fake_server(bench, lambda fake: offer(fake, other))
    eventually(lambda: "already in use" in a.qemu.log_text(), "the refusal")
    assert a.link_up(b)
    assert_doorbells_pass(a, b)


def with_fake_server(bench: Bench, talk: Callable[[FakeServer], None]) -> FakeServer:
    """Replace the server; `talk` to each of the two ports that connect."""
    bench.switch.end(softly=False)
    fake = FakeServer(bench.switch.socket)
    bench.stack.callback(fake.close)
    for _ in range(2):
        fake.accept()
        talk(fake)
    return fake


def offer(fake: FakeServer, bench: Bench) -> None:
    fake.send(VERSION)
    fake.send(7)
    fd = os.open(bench.switch.shm, os.O_RDWR)
    own = eventfd()
    fake.send(SHM, [fd])
    fake.send(7, [own])
    os.close(fd)
    os.close(own)


def test_newcomer_sees_ports_without_a_server_as_down(new_bench: Callable[..., Bench]) -> None:
    """They cannot wake each other; the link of those who were there before is as it was."""
    bench = new_bench()
    a, b = bench.start_pair()
    for port in (a, b):
        port.init_link_events()
        port.link_enable()
    eventually(lambda: a.link_up(b), "the link")
    bench.switch.end(softly=False)
    eventually(lambda: lost(a) and lost(b), "the loss to be noticed")
    b.qemu.kill()
    eventually(lambda: not a.sees_port(b), "the death of the peer to be seen")
    bench.restart_server(same_page=True)
    b = bench.start(1)
    b.link_enable()
    b.settle()
    assert not b.sees_port(a)
    assert not a.sees_port(b)
    started = time.monotonic()
    b.link_disable()  # nobody has a window to close
    assert b.stat("quiesce_timeouts") == 0
    assert time.monotonic() - started < 5


def test_newcomer_meets_a_port_that_comes_back_later(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    a = bench.start(0, reconnect=True)
    a.init_link_events()
    a.link_enable()
    a.quiet()
    bench.switch.end(softly=False)
    eventually(lambda: lost(a), "the loss to be noticed")
    a.qemu.process.send_signal(19)  # SIGSTOP: it is late
    try:
        bench.restart_server(same_page=True)
        b = bench.start(1)
        b.init_link_events()
        b.link_enable()
        b.quiet()
        assert not b.sees_port(a)
    finally:
        a.qemu.process.send_signal(18)
    eventually(lambda: b.sees_port(a) and a.sees_port(b), "both to see each other")
    eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
    assert b.gasa_read(nt.SELINKUPSTS) == 1 << a.number
    assert b.read(nt.NTINTSTS) & nt.SEVENT


MEMORY = b"memory"
LIES: dict[str, list[tuple[int | bytes, int]]] = {
    # message, number of files that come with it
    "nothing": [],
    "half a message": [(b"\0\0\0", 0)],
    "version with a file": [(VERSION, 1)],
    "another version": [(1, 0)],
    "id with a file": [(VERSION, 0), (5, 1)],
    "negative id": [(VERSION, 0), (-5, 0)],
    "huge id": [(VERSION, 0), (1 << 40, 0)],
    "memory without a file": [(VERSION, 0), (5, 0), (SHM, 0)],
    "memory that is an eventfd": [(VERSION, 0), (5, 0), (SHM, 1), (5, 1)],
    "vectors before memory": [(VERSION, 0), (5, 0), (5, 1), (6, 1), (SHM, 1)],
    "client that leaves unknown": [(VERSION, 0), (5, 0), (9, 0), (SHM, 0)],
    "more clients than there are": [(VERSION, 0), (5, 0), *((100 + i, 1) for i in range(400))],
    "three files at once": [(VERSION, 0), (5, 3)],
    "garbage": [(bytes(range(97, 97 + 24)), 0)],
}


@pytest.fixture(scope="module")
def lied_to(build: object) -> Iterator[tuple[Bench, Port, Port]]:
    """A linked pair that outlives every lie."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        bench = Bench(build, stack)  # type: ignore[arg-type]
        a, b = bench.start(0, reconnect=True), bench.start(1, reconnect=True)
        for port in (a, b):
            port.enable_msi()
            port.init_link_events()
            port.link_enable()
        eventually(lambda: a.link_up(b) and b.link_up(a), "the link")
        for port in (a, b):
            port.quiet()
        bench.switch.end(softly=False)
        yield bench, a, b
        for port in (a, b):
            port.qemu.stop()


@pytest.mark.parametrize("lie", LIES)
def test_server_that_lies(lied_to: tuple[Bench, Port, Port], lie: str) -> None:
    _, a, b = lied_to
    files = [open_files(port) for port in (a, b)]

    def talk(fake: FakeServer) -> None:
        for message, count in LIES[lie]:
            fds = [eventfd() for _ in range(count)]
            fake.send(message, fds)
            for fd in fds:
                os.close(fd)

    fake = with_fake_server(lied_to[0], talk)
    fake.close()
    for port in (a, b):
        assert lost(port)
    assert_doorbells_pass(a, b)
    assert a.link_up(b)
    assert b.link_up(a)
    eventually(lambda: [open_files(port) for port in (a, b)] <= files, "files to be closed")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/etc/passwd"])
@pytest.mark.parametrize("client", [5, 6], ids=["own", "other"])
def test_vectors_that_are_no_eventfds(
    lied_to: tuple[Bench, Port, Port], path: str, client: int
) -> None:
    """One that can always be read would keep a processor busy for ever."""
    bench, a, b = lied_to

    def talk(fake: FakeServer) -> None:
        fake.send(VERSION)
        fake.send(5)
        vector, page = os.open(path, os.O_RDONLY), os.open(bench.switch.shm, os.O_RDWR)
        fake.send(SHM, [page])
        fake.send(client, [vector])
        os.close(vector)
        os.close(page)

    files = [open_files(port) for port in (a, b)]
    fake = with_fake_server(bench, talk)
    for port in (a, b):
        port.read(nt.NTCTL)
        assert lost(port)
    fake.close()
    assert_doorbells_pass(a, b)
    eventually(lambda: [open_files(port) for port in (a, b)] <= files, "files to be closed")


def open_files(port: Port) -> int:
    return len(os.listdir(f"/proc/{port.qemu.process.pid}/fd"))


def test_warnings_about_servers_come_to_an_end(lied_to: tuple[Bench, Port, Port]) -> None:
    bench, a, _ = lied_to
    for _ in range(20):
        with_fake_server(bench, lambda fake: fake.send(99)).close()
    assert len(a.qemu.log_text()) < 10_000


def test_server_that_says_nothing_ends_the_start(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    bench.switch.end(softly=False)
    fake = FakeServer(bench.switch.socket)
    try:
        text = failed_start(bench.argv(0))
    finally:
        fake.close()
    assert "did not send the shared memory within 5 s" in text
