# SPDX-License-Identifier: MIT
"""ivshmem-server and the page it hands out, as a test sees them.

Offsets are those of qemu_src/include/hw/ntb/, by the toolkit's layout, which a test compares.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ntbdbg.ntb.page import MIN_SIZE, PORT_OFF, PORT_STRIDE, layout, offset_of
from tests.device.deadline import eventually

if TYPE_CHECKING:
    from tests.device.qtest import Build

SHM_SIZE = MIN_SIZE
HEADER_SIZE = layout("little").header.sizeof()
PORT_SIZE = layout("little").port.sizeof()

_LETTERS = {4: "I", 8: "Q"}
WIDE = {"inmsg", "seg", "bar_addr", "mw", "rung", "raised"}
"""Arrays of 64-bit words."""


Fields = dict[str, tuple[int, str]]
"""Members of a port block by their C names: offset, and layout as in `struct`."""


def fields_of(block: Any) -> Fields:
    """Those of a construct Struct, apart from reserved ones."""
    found = {}
    for member in block.subcons:
        offset, size = offset_of(block, member.name), member.sizeof()
        unit = 8 if member.name in WIDE or size == 8 else 4
        found[member.name] = offset, f"<{size // unit}{_LETTERS[unit]}"
    return {name: place for name, place in found.items() if not name.startswith("rsvd_")}


FIELDS = fields_of(layout("little").port)


class Kind(NamedTuple):
    """A kind of port: QEMU's name for the device, and what a block of it holds."""

    device: str
    fields: Fields


IDT = Kind("idt-ntb-ivshmem", FIELDS)


class Page:
    """The shared page, mapped by the test."""

    def __init__(self, path: Path, fields: Fields = FIELDS) -> None:
        self.fields = fields
        fd = os.open(path, os.O_RDWR)
        try:
            self.bytes = mmap.mmap(fd, SHM_SIZE)
        finally:
            os.close(fd)

    def get(self, part: int, name: str) -> int:
        return self.get_all(part, name)[0]

    def get_all(self, part: int, name: str) -> tuple[int, ...]:
        offset, layout = self.fields[name]
        return struct.unpack_from(layout, self.bytes, PORT_OFF + part * PORT_STRIDE + offset)

    def put(self, part: int, name: str, *values: int) -> None:
        offset, layout = self.fields[name]
        struct.pack_into(layout, self.bytes, PORT_OFF + part * PORT_STRIDE + offset, *values)

    def image(self, part: int, register: int) -> int:
        return self.get_all(part, "image")[(register - 0x400) // 4]

    def close(self) -> None:
        self.bytes.close()


class Switch:
    """A running ivshmem-server."""

    def __init__(
        self, build: Build, folder: Path, vectors: int = 1, size: str = "1M", kind: Kind = IDT
    ) -> None:
        self.kind = kind
        self.socket = folder / "server.sock"
        name = f"ntbdbg-test-{os.getpid()}-{folder.name}"
        self.shm = Path("/dev/shm") / name
        self._log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            [
                str(build.server),
                *("-F", "-S", str(self.socket), "-M", name, "-l", size, "-n", str(vectors)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        eventually(self._listening, "ivshmem-server's socket")
        self.page = Page(self.shm, kind.fields) if self.shm.stat().st_size >= SHM_SIZE else None

    def _listening(self) -> bool:
        """Ask the kernel: to connect and leave again would end the server."""
        accepting = "00010000"  # __SO_ACCEPTCON
        lines = Path("/proc/net/unix").read_text().splitlines()
        return any(line.endswith(f" {self.socket}") and accepting in line for line in lines)

    def connections(self) -> int:
        """How many clients the server has accepted."""
        lines = Path("/proc/net/unix").read_text().splitlines()
        return sum(line.endswith(f" {self.socket}") for line in lines) - 1

    def device(
        self, number: int, options: str = "", reconnect: bool = False, **properties: object
    ) -> list[str]:
        """QEMU's arguments for one port of this switch."""
        again = ",reconnect-ms=50" if reconnect else ""
        words = "".join(f",{key.replace('_', '-')}={value}" for key, value in properties.items())
        return [
            *("-chardev", f"socket,id=ntb{number},path={self.socket}{again}"),
            *("-device", f"{self.kind.device},chardev=ntb{number},number={number}{words}{options}"),
        ]

    def visit(self) -> None:
        """Join as a client that is no port, and leave again; every port looks around."""
        clients = self.connections()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.socket))
            received = 0
            # version, id, memory, then one eventfd for each client and for this one
            while received < 8 * (3 + clients + 1):
                data, fds, _, _ = socket.recv_fds(client, 8, 1)
                received += len(data)
                for fd in fds:
                    os.close(fd)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, softly: bool) -> None:
        """End the server; its page stays, though one that ends softly removes its name."""
        if self.process.poll() is None and softly:
            kept = self.shm.with_suffix(".kept")
            os.link(self.shm, kept)
            self.process.terminate()
            self.process.wait()
            kept.rename(self.shm)
        self.kill()
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        if self.page is not None:
            self.page.close()
        self.process.terminate()
        self.process.wait()
        self._log.close()
        self.shm.unlink(missing_ok=True)
