# SPDX-License-Identifier: MIT
"""A server that says what a test tells it to say."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

VERSION = 0
SHM = -1


class FakeServer:
    """Listens on a path; speaks ivshmem-server's protocol, or not."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._listener.settimeout(20)
        self.client: socket.socket | None = None

    def accept(self) -> None:
        self.hang_up()
        self.client, _ = self._listener.accept()
        self.client.settimeout(20)

    def send(self, message: int | bytes, fds: Iterable[int] = ()) -> None:
        assert self.client is not None
        data = message if isinstance(message, bytes) else struct.pack("<q", message)
        socket.send_fds(self.client, [data], list(fds))

    def hang_up(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


def eventfd() -> int:
    return os.eventfd(0, os.EFD_CLOEXEC)
