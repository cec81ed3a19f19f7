# SPDX-License-Identifier: MIT
"""Configurations that must be refused, each with a word about what is wrong."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.device.qtest import Build, base_argv, failed_start
from tests.device.switch import Switch

if TYPE_CHECKING:
    from tests.device.conftest import Bench

HEADER = {"magic": 0x000, "major": 0x008, "nports": 0x020, "model": 0x024, "barsetup2": 0x040}

BAD_PROPERTIES = {
    "number=2": "number=2 is out of range",
    "number=4294967295": "out of range",
    "nports=1": "nports=1 is out of range: a switch has 2 to 6 ports",
    "nports=7": "nports=7 is out of range",
    "nports=3,number=3": "number=3 is out of range",
    "nports=3,x-mirror-mw=on": "x-mirror-mw needs a switch of two ports",
    "vectors=0": "vectors must be at least 1",
    "bar2-mode=lut24,bar4-mode=lut24": "make 48 windows, but the driver takes 29",
    "bar2-mode=lut24": "make 36 windows, but the driver takes 29",
    "bar2-mode=": "bar2-mode= is not known",
    "bar4-mode=lut48": "bar4-mode=lut48 is not known: it is direct, lut12, lut24 or off",
    "bar4-size=3M": "bar4-size must be a power of two",
    "bar2-size=3M": "power of two",
    "bar2-size=8K": "from 16K",
    "bar2-size=2G": "to 1G",
    "mem-path=/dev/shm/%s": "only %d is replaced",
    "mem-path=/dev/shm/%d%": "only %d is replaced",
    "mem-path=/dev/shm/%%d": "only %d is replaced",
}


@pytest.mark.parametrize(("words", "complaint"), BAD_PROPERTIES.items())
def test_bad_properties(bench: Bench, words: str, complaint: str) -> None:
    argv = base_argv(bench.build, bench.ram(0), 64 << 20)
    argv += ["-chardev", f"socket,id=c,path={bench.switch.socket}"]
    argv += ["-device", f"idt-ntb-ivshmem,chardev=c,{words}"]
    assert complaint in failed_start(argv)


def test_without_a_chardev(bench: Bench) -> None:
    argv = base_argv(bench.build, bench.ram(0), 64 << 20)
    assert "chardev= is missing" in failed_start([*argv, "-device", "idt-ntb-ivshmem"])


def test_chardev_that_is_no_server(bench: Bench) -> None:
    argv = base_argv(bench.build, bench.ram(0), 64 << 20)
    argv += ["-chardev", "null,id=c", "-device", "idt-ntb-ivshmem,chardev=c"]
    assert "it must name a socket chardev" in failed_start(argv)


def test_port_in_use(bench: Bench) -> None:
    bench.start(0)
    assert "port 0 (number=0) is already in use" in failed_start(bench.argv(0))


def test_port_is_free_again_after_its_owner(bench: Bench) -> None:
    first = bench.start(0)
    first.qemu.kill()
    second = bench.start(0)
    assert second.stat("state") == 2


def test_two_claims_in_one_qemu(bench: Bench) -> None:
    argv = bench.argv(0)
    argv += [word.replace("ntb0", "ntb9") for word in bench.switch.device(0)]
    assert "already in use" in failed_start(argv)


def test_small_shared_memory(build: Build, tmp_path: Path) -> None:
    switch = Switch(build, tmp_path, size="32K")
    try:
        argv = base_argv(build, tmp_path / "ram", 64 << 20) + switch.device(0)
        assert "needs 0x10000" in failed_start(argv)
    finally:
        switch.stop()


DAMAGE = {
    "magic": ("<Q", 1, "header is damaged"),
    "major": ("<I", 1, "layout version 1, this device speaks 2"),
    "model": ("<I", 0x0809, "joins ports of model 0x0809, this one is 0x8091"),
    "nports": ("<I", 3, "the switch has 3 ports"),
    "barsetup2": ("<I", 0x8000016C, "BAR2 is set up as"),
}


@pytest.mark.parametrize("field", DAMAGE)
def test_header_of_another_kind(bench: Bench, field: str) -> None:
    layout, value, complaint = DAMAGE[field]
    bench.start(0)
    struct.pack_into(layout, bench.page.bytes, HEADER[field], value)
    assert complaint in failed_start(bench.argv(1))


def test_page_of_a_past_switch_is_initialised_anew(bench: Bench) -> None:
    bench.page.bytes[:] = os.urandom(len(bench.page.bytes))
    port = bench.start(0)
    assert bytes(bench.page.bytes[:8]) == b"IDTNTBSW"[::-1]
    assert bench.page.get(1, "state") == 0
    assert port.stat("db_tx") == 0


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ({"bar2_size": "4M"}, "BAR2 is set up as 0x8000016c here"),
        ({"bar2_mode": "off"}, "BAR2 is set up as 0x00000000 here"),
        ({"bar4_mode": "lut24"}, "BAR4 is set up as 0x8000119c here"),
        ({"db_loopback": "on"}, "db-loopback or x-mirror-mw differs"),
        ({"x_mirror_mw": "on"}, "db-loopback or x-mirror-mw differs"),
        ({"nports": 3}, "nports=3 here, but the switch has 2 ports"),
    ],
)
def test_ports_must_be_alike(bench: Bench, properties: dict[str, Any], complaint: str) -> None:
    bench.start(0)
    assert complaint in failed_start(bench.argv(1, **properties))


def test_conventional_bus_is_refused(bench: Bench) -> None:
    argv = [word.replace("q35,", "pc,") for word in bench.argv(0)]
    assert "idt-ntb-ivshmem" in failed_start(argv)


@contextmanager
def fake_server(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def send(connection: socket.socket, *numbers: int) -> None:
    for number in numbers:
        connection.sendall(struct.pack("<q", number))


def send_file(connection: socket.socket, number: int, fd: int) -> None:
    socket.send_fds(connection, [struct.pack("<q", number)], [fd])


def send_pipe(connection: socket.socket) -> None:
    send(connection, 0, 3)
    reader, writer = os.pipe()
    send_file(connection, -1, reader)
    os.close(reader)
    os.close(writer)


BAD_SERVERS: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "silent": (lambda c: None, "closed the connection"),
    "half a message": (lambda c: c.sendall(b"\0" * 5), "closed the connection"),
    "another version": (lambda c: send(c, 1), "protocol version 1"),
    "no id": (lambda c: send(c, 0), "closed the connection"),
    "bad id": (lambda c: send(c, 0, -1), "bad client id"),
    "huge id": (lambda c: send(c, 0, 65536), "bad client id"),
    "no shared memory": (lambda c: send(c, 0, 3), "closed the connection"),
    "number instead of a file": (lambda c: send(c, 0, 3, -1), "closed the connection"),
    "file instead of a number": (lambda c: send_file(c, 0, 0), "file instead of"),
    "pipe for memory": (send_pipe, "not a regular file"),
}


@pytest.mark.parametrize("kind", BAD_SERVERS)
def test_bad_server(build: Build, tmp_path: Path, kind: str) -> None:
    answer, complaint = BAD_SERVERS[kind]
    argv = base_argv(build, tmp_path / "ram", 64 << 20)
    argv += ["-chardev", f"socket,id=c,path={tmp_path / 'fake'}"]
    argv += ["-device", "idt-ntb-ivshmem,chardev=c"]
    with fake_server(tmp_path / "fake", answer):
        assert complaint in failed_start(argv)
