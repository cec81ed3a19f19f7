# SPDX-License-Identifier: MIT
"""A serial console over telnet: the few bytes of the protocol that QEMU speaks, and a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from run.base.errors import RunError

#: Ctrl-], as in telnet
ESCAPE = b"\x1d"

IAC, SB, SE = 255, 250, 240
#: WILL, WONT, DO, DONT: each is followed by the option it is about
_WITH_OPTION = range(251, 255)

#: seconds for QEMU to open the telnet conversation; it does so at once unless somebody is there
GREETING = 3.0


class TelnetFilter:
    """Takes the protocol's own bytes out of a stream that may be cut anywhere."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of `data` that the guest printed."""
        data, self._pending = self._pending + data, b""
        out = bytearray()
        while data:
            plain, found, rest = data.partition(b"\xff")
            out += plain
            if not found:
                break
            length = _command_length(rest)
            if length is None:
                self._pending = b"\xff" + rest
                break
            if rest[:1] == b"\xff":
                out += b"\xff"
            data = rest[length:]
        return bytes(out)


def _command_length(rest: bytes) -> int | None:
    """Bytes of the command after IAC; None if it is not whole yet."""
    if not rest:
        return None
    if rest[0] in _WITH_OPTION:
        return 2 if len(rest) > 1 else None
    if rest[0] == SB:
        end = rest.find(bytes([IAC, SE]))
        return end + 2 if end >= 0 else None
    return 1


def quote(data: bytes) -> bytes:
    """Bytes for the guest, as telnet wants them."""
    return data.replace(b"\xff", b"\xff\xff")


def connect(port: int, who: str) -> socket.socket:
    """A console's connection; raises RunError if it is closed, or somebody else has it."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=GREETING)
    except OSError as error:
        raise RunError(
            f"{who}: console on port {port}: {error.strerror or error}",
            hint="'python3 run status' shows whether the guest runs",
        ) from error
    if not select.select([connection], [], [], GREETING)[0]:
        connection.close()
        raise RunError(
            f"{who}: the console on port {port} does not answer: it serves one client at a time",
            hint="end the other one; the console's log has everything it printed",
        )
    connection.settimeout(None)
    return connection


def attach(connection: socket.socket, *, linger: float) -> None:
    """Pass bytes both ways until Ctrl-], the guest's end, or `linger` quiet seconds after input.

    On a terminal every key goes to the guest, Ctrl-C too; only Ctrl-] is ours.
    """
    terminal = sys.stdin.isatty()
    with _raw(sys.stdin.fileno()) if terminal else contextlib.nullcontext():
        _pump(connection, sys.stdin.fileno(), escape=terminal, linger=linger, write=_write)
    if terminal:
        _write(b"\n")


def _pump(
    connection: socket.socket,
    keyboard: int,
    *,
    escape: bool,
    linger: float,
    write: Callable[[bytes], None],
) -> None:
    telnet = TelnetFilter()
    sources: list[socket.socket | int] = [connection, keyboard]
    while True:
        waits = None if keyboard in sources else linger
        ready = select.select(sources, [], [], waits)[0]
        if not ready:
            return
        if connection in ready:
            data = connection.recv(65536)
            if not data:
                return
            write(telnet.feed(data))
        if keyboard in ready:
            typed = os.read(keyboard, 4096)
            if escape and ESCAPE in typed:
                return
            if typed:
                connection.sendall(quote(typed))
            else:
                sources.remove(keyboard)


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """The terminal passes every key as it is, and is as before afterwards."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
