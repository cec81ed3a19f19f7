# SPDX-License-Identifier: MIT
"""A QEMU monitor without QEMU: speaks QMP on a UNIX socket, to one client at a time."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

#: what ``info registers -a`` says of a guest with one processor
REGISTERS = """
CPU#0
RAX=0000000000000001 RBX=ffffffff8321a940 RCX=0000000000000002 RDX=0000000000000003
RSI=0000000000000004 RDI=0000000000000005 RBP=ffffb2c0400a3e48 RSP=ffffb2c0400a3e10
R8 =0000000000000008 R9 =0000000000000009 R10=000000000000000a R11=000000000000000b
R12=000000000000000c R13=000000000000000d R14=000000000000000e R15=ffffffffffffffff
RIP=ffffffff81e3f7ab RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
ES =0000 0000000000000000 ffffffff 00000000
CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]
SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]
DS =0000 0000000000000000 ffffffff 00000000
FS =0000 00007f1d5a3c0740 ffffffff 00000000
GS =0000 ffff9a7f7ec00000 ffffffff 00000000
LDT=0000 0000000000000000 00000000 00008200 DPL=0 LDT
TR =0040 fffffe0000003000 00004087 00008b00 DPL=0 TSS64-busy
GDT=     fffffe0000001000 0000007f
IDT=     fffffe0000000000 00000fff
CR0=80050033 CR2=00007ffd0c1f2ff8 CR3=0000000002610000 CR4=000006f0
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000
DR6=00000000ffff0ff0 DR7=0000000000000400
EFER=0000000000000d01
FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80
FPR0=0000000000000000 0000 FPR1=0000000000000000 0000
XMM00=RIP=0000000000000000 0000000000000000 XMM01=0000000000000000 0000000000000000
"""

GREETING = {"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 0}}, "capabilities": []}}


class FakeQmp:
    """Serves `path` until `close`.

    :ivar status: run state, as query-status tells: ``running``, ``paused``, …
    :ivar migration: what query-migrate tells, empty for nothing
    :ivar log: every command executed, in order
    :ivar refuse: command → description of the error it answers with
    :ivar mute: accept clients and never answer
    :ivar registers: what the human monitor says of them
    :ivar answers: first word of a line for the human monitor → what gives its answer
    :ivar before: called with each command before it is executed
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status = "running"
        self.migration = ""
        self.log: list[str] = []
        self.refuse: dict[str, str] = {}
        self.mute = False
        self.registers = REGISTERS
        self.answers: dict[str, Callable[[str], str]] = {}
        self.before: Callable[[str], object] = lambda command: None
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
        self.before(command)
        if command in self.refuse:
            return {"error": {"class": "GenericError", "desc": self.refuse[command]}}
        if command == "stop" and self.status == "running":
            self.status = "paused"
        if command == "cont" and self.status in ("paused", "prelaunch"):
            self.status = "running"
        if command == "query-status":
            return {"return": {"status": self.status, "running": self.status == "running"}}
        if command == "query-migrate":
            return {"return": {"status": self.migration} if self.migration else {}}
        if command == "human-monitor-command":
            return {"return": self._human(arguments["command-line"])}
        return {"return": {}}

    def _human(self, line: str) -> str:
        if line == "info registers -a":
            return self.registers
        answer = self.answers.get(line.split()[0])
        return answer(line) if answer else "unknown command"


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
