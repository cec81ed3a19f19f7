# SPDX-License-Identifier: MIT
"""A QEMU monitor without QEMU: speaks QMP on a UNIX socket, to one client at a time."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

GREETING = {"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 0}}, "capabilities": []}}


class FakeQmp:
    """Serves `path` until `close`.

    :ivar status: run state, as query-status tells: ``running``, ``paused``, …
    :ivar log: every command executed, in order
    :ivar refuse: command → description of the error it answers with
    :ivar mute: accept clients and never answer
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status = "running"
        self.log: list[str] = []
        self.refuse: dict[str, str] = {}
        self.mute = False
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(os.fspath(path))
        self._server.listen(8)
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the socket, as QEMU's end does."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._clients.append(client)
            with client, suppress(OSError, ValueError):
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        if self.mute:
            while client.recv(4096):
                pass
            return
        _send(client, GREETING)
        for request in _requests(client):
            answer = self._execute(request["execute"], request.get("arguments", {}))
            if "id" in request:
                answer["id"] = request["id"]
            _send(client, answer)

    def _execute(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.log.append(command)
        if command in self.refuse:
            return {"error": {"class": "GenericError", "desc": self.refuse[command]}}
        if command == "stop" and self.status == "running":
            self.status = "paused"
        if command == "cont" and self.status == "paused":
            self.status = "running"
        if command == "query-status":
            return {"return": {"status": self.status, "running": self.status == "running"}}
        return {"return": {}}


def _requests(client: socket.socket) -> Iterator[dict[str, Any]]:
    """JSON objects as they arrive: clients need not end them with a newline."""
    text = ""
    while received := client.recv(4096):
        text += received.decode()
        while text := text.lstrip():
            try:
                request, end = json.JSONDecoder().raw_decode(text)
            except ValueError:  # the rest is still to come
                break
            text = text[end:]
            yield request


def _send(client: socket.socket, message: dict[str, Any]) -> None:
    client.sendall(json.dumps(message).encode() + b"\r\n")
