# SPDX-License-Identifier: MIT
"""The console's telnet: protocol bytes are taken out wherever a stream is cut."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run.base.errors import RunError
from run.reach import console
from run.reach.console import TelnetFilter, quote

#: what QEMU says first: WILL ECHO, WILL SGA, DO BINARY, WILL BINARY
GREETING = bytes([255, 251, 1, 255, 251, 3, 255, 253, 0, 255, 251, 0])

pieces = st.lists(
    st.one_of(
        st.binary(max_size=8).filter(lambda b: b"\xff" not in b).map(lambda b: (b, b)),
        st.just((b"\xff\xff", b"\xff")),
        st.just((GREETING, b"")),
        st.just((b"\xff\xf1", b"")),
        st.just((b"\xff\xfa\x18\x01\xff\xf0", b"")),
    )
)


@given(pieces, st.integers(1, 5))
def test_any_cut_gives_the_same(parts, step):
    sent = b"".join(raw for raw, _ in parts)
    telnet = TelnetFilter()
    out = b"".join(telnet.feed(sent[i : i + step]) for i in range(0, len(sent), step))
    assert out == b"".join(plain for _, plain in parts)


@given(st.binary())
def test_what_we_quote_is_what_the_other_side_reads(data):
    assert TelnetFilter().feed(quote(data)) == data


class Guest:
    """A console server that says `greeting` and keeps what it was sent."""

    def __init__(self, greeting: bytes) -> None:
        self.received = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._greeting = greeting
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # closing alone would not end accept()
        self.listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        client, _ = self.listener.accept()
        with client:
            client.sendall(self._greeting)
            while data := client.recv(1000):
                self.received += data
                client.sendall(b"got it")
                if b"bye" in data:
                    return


@pytest.fixture
def guest_saying() -> Iterator[Callable[[bytes], Guest]]:
    with ExitStack() as stack:
        yield lambda greeting: stack.enter_context(closing(Guest(greeting)))


def pump(guest: Guest, typed: bytes, *, escape: bool, linger: float = 0.3) -> bytes:
    shown = []
    reading, writing = os.pipe()
    os.write(writing, typed)
    if not escape:
        os.close(writing)
    with console.connect(guest.port, "qemu1") as connection:
        console._pump(connection, reading, escape=escape, linger=linger, write=shown.append)
    os.close(reading)
    if escape:
        os.close(writing)
    return b"".join(shown)


def test_input_from_a_pipe(guest_saying):
    guest = guest_saying(GREETING + b"login: ")
    assert pump(guest, b"root\n", escape=False) == b"login: got it"
    assert guest.received == b"root\n"


def test_escape_key(guest_saying):
    guest = guest_saying(GREETING)
    pump(guest, b"\x1d", escape=True)
    assert guest.received == b""


def test_the_guest_hangs_up(guest_saying):
    assert pump(guest_saying(GREETING), b"bye", escape=True) == b"got it"


def test_nobody_listens(free_port):
    with pytest.raises(RunError, match=f"qemu1: console on port {free_port}: Connection refused"):
        console.connect(free_port, "qemu1")


def test_somebody_else_is_at_the_console(guest_saying, monkeypatch):
    monkeypatch.setattr(console, "GREETING", 0.1)
    with pytest.raises(RunError, match="one client at a time"):
        console.connect(guest_saying(b"").port, "qemu1")
