# SPDX-License-Identifier: MIT
"""QEMU as a process, and a client of its qtest protocol.

Under the qtest accelerator no guest code runs: every access to memory and I/O
ports is made by the test, so a register access is one line of the protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 20.0

#: for a QEMU with sanitizers: leaks at the end of a process are QEMU's business
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


class Build(NamedTuple):
    """Where the tested QEMU lies."""

    qemu: Path
    server: Path
    firmware: tuple[Path, ...]


class LineSocket:
    """One accepted connection of a line-based protocol."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._listener.settimeout(TIMEOUT)
        self._connection: socket.socket | None = None
        self._buffer = b""

    def accept(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.settimeout(TIMEOUT)

    def send(self, line: str) -> None:
        assert self._connection is not None
        self._connection.sendall(line.encode() + b"\n")

    def receive(self) -> str:
        assert self._connection is not None
        while b"\n" not in self._buffer:
            data = self._connection.recv(65536)
            if not data:
                raise EOFError("QEMU closed the connection")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def close(self) -> None:
        self._listener.close()
        if self._connection is not None:
            self._connection.close()


def base_argv(build: Build, ram_path: Path, ram_size: int) -> list[str]:
    """A q35 machine with its RAM in a shared file and nothing else in it."""
    firmware = [word for folder in build.firmware for word in ("-L", str(folder))]
    return [
        str(build.qemu),
        *firmware,
        *("-machine", "q35,accel=qtest,memory-backend=ram"),
        *("-m", f"{ram_size}B"),
        *("-nodefaults", "-display", "none", "-d", "unimp"),
        *("-object", f"memory-backend-file,id=ram,size={ram_size}B,mem-path={ram_path},share=on"),
    ]


class Qemu:
    """A running QEMU."""

    def __init__(self, argv: Sequence[str], folder: Path, name: str) -> None:
        self.log = folder / f"{name}.log"
        self._qtest = LineSocket(folder / f"{name}.qtest")
        self._qmp = LineSocket(folder / f"{name}.qmp")
        sockets = [
            *("-qtest", f"unix:{folder / f'{name}.qtest'}"),
            *("-qtest-log", "/dev/null"),
            *("-qmp", f"unix:{folder / f'{name}.qmp'}"),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*argv, *sockets],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**SANITIZERS, **os.environ},
            )
        try:
            self._qtest.accept()
            self._qmp.accept()
            json.loads(self._qmp.receive())
            self.qmp("qmp_capabilities")
        except (OSError, EOFError) as error:
            self.kill()
            raise AssertionError(f"QEMU did not start: {self.log_text()}") from error

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def qmp(self, command: str, **arguments: object) -> object:
        self._qmp.send(json.dumps({"execute": command, "arguments": arguments}))
        while True:
            answer = json.loads(self._qmp.receive())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise AssertionError(f"{command}: {answer['error']['desc']}")

    def command(self, line: str) -> list[str]:
        self._qtest.send(line)
        while True:
            words = self._qtest.receive().split()
            if words[0] == "OK":
                return words[1:]
            if words[0] != "IRQ":
                raise AssertionError(f"qtest: {line}: {' '.join(words)}")

    def begin(self, lines: Sequence[str]) -> None:
        """Send many commands at once; `finish` takes their answers."""
        self._qtest.send("\n".join(lines))

    def finish(self, count: int) -> None:
        for _ in range(count):
            answer = self._qtest.receive()
            assert answer.startswith("OK"), f"qtest: {answer}"

    def read(self, address: int, size: int = 4) -> int:
        return int(self.command(f"read{'_bw_l___q'[size]} {address:#x}")[0], 16)

    def write(self, address: int, value: int, size: int = 4) -> None:
        self.command(f"write{'_bw_l___q'[size]} {address:#x} {value:#x}")

    def read_bytes(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self.command(f"read {address:#x} {size:#x}")[0].removeprefix("0x"))

    def write_bytes(self, address: int, data: bytes) -> None:
        self.command(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def outl(self, port: int, value: int) -> None:
        self.command(f"outl {port:#x} {value:#x}")

    def inl(self, port: int) -> int:
        return int(self.command(f"inl {port:#x}")[0], 16)

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._qtest.close()
        self._qmp.close()

    def stop(self) -> None:
        """End QEMU and insist that it ends well."""
        with contextlib.suppress(OSError, EOFError):
            self.qmp("quit")
        code = self.process.wait(TIMEOUT)
        self._qtest.close()
        self._qmp.close()
        assert code == 0, f"QEMU ended with {code}: {self.log_text()}"


def failed_start(argv: Sequence[str]) -> str:
    """Start a QEMU that must refuse its command line; return its complaint."""
    done = subprocess.run(
        [*argv, "-S"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
        check=False,
    )
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 1, f"exit code {done.returncode}: {text}"
    return text
