# SPDX-License-Identifier: MIT
"""ivshmem-server and the page it hands out, as a test sees them.

Offsets are those of qemu_src/include/hw/misc/idt_ntb_shm.h.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.device.deadline import eventually

if TYPE_CHECKING:
    from tests.device.qtest import Build

SHM_SIZE = 0x10000
PORT_OFF = 0x2000
PORT_STRIDE = 0x1000
PORT_SIZE = 0x840

FIELDS: dict[str, tuple[int, str]] = {
    "state": (0x000, "<I"),
    "port": (0x004, "<I"),
    "part": (0x008, "<I"),
    "ivshmem_id": (0x00C, "<I"),
    "incarnation": (0x010, "<Q"),
    "pid": (0x018, "<Q"),
    "start_ns": (0x020, "<Q"),
    "flags": (0x028, "<I"),
    "server_pid": (0x02C, "<I"),
    "linkup": (0x040, "<I"),
    "pcicmd": (0x044, "<I"),
    "ntctl": (0x048, "<I"),
    "mtbl": (0x04C, "<I"),
    "pcielctlsts": (0x050, "<I"),
    "down_epoch": (0x054, "<I"),
    "ack": (0x080, "<8I"),
    "indbellsts": (0x0C0, "<I"),
    "ev_linkup": (0x0C4, "<I"),
    "ev_linkdn": (0x0C8, "<I"),
    "ev_gsig": (0x0CC, "<I"),
    "kick_pending": (0x0D0, "<I"),
    "inmsg": (0x100, "<4Q"),
    "indbellmsk": (0x140, "<I"),
    "msgstsmsk": (0x144, "<I"),
    "ntintsts": (0x148, "<I"),
    "ntintmsk": (0x14C, "<I"),
    "outmsgsts": (0x150, "<I"),
    "semsk": (0x154, "<I"),
    "sepmsk": (0x158, "<I"),
    "selinkupsts": (0x15C, "<I"),
    "selinkupmsk": (0x160, "<I"),
    "selinkdnsts": (0x164, "<I"),
    "selinkdnmsk": (0x168, "<I"),
    "segsigsts": (0x16C, "<I"),
    "segsigmsk": (0x170, "<I"),
    "mw_open": (0x174, "<I"),
    "mw_trapped": (0x178, "<I"),
    "ram_seq": (0x180, "<I"),
    "nseg": (0x184, "<I"),
    "ram_dev": (0x188, "<Q"),
    "ram_ino": (0x190, "<Q"),
    "ram_size": (0x198, "<Q"),
    "seg": (0x1A0, "<48Q"),
    "swpmsgctl": (0x360, "<4I"),
    "tmpctl": (0x370, "<I"),
    "tmpsts": (0x374, "<I"),
    "tmpalarm": (0x378, "<I"),
    "tmpadj": (0x37C, "<I"),
    "bar_addr": (0x380, "<6Q"),
    "image": (0x400, "<64I"),
    "db_tx": (0x500, "<Q"),
    "db_rx": (0x508, "<Q"),
    "kicks": (0x510, "<Q"),
    "msi": (0x518, "<Q"),
    "msg_tx": (0x520, "<Q"),
    "msg_fail": (0x528, "<Q"),
    "win_map": (0x530, "<Q"),
    "win_unmap": (0x538, "<Q"),
    "win_trap": (0x540, "<Q"),
    "quiesce_timeouts": (0x548, "<Q"),
    "lut": (0x600, "<144I"),
}


class Page:
    """The shared page, mapped by the test."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR)
        try:
            self.bytes = mmap.mmap(fd, SHM_SIZE)
        finally:
            os.close(fd)

    def get(self, part: int, name: str) -> int:
        return self.get_all(part, name)[0]

    def get_all(self, part: int, name: str) -> tuple[int, ...]:
        offset, layout = FIELDS[name]
        return struct.unpack_from(layout, self.bytes, PORT_OFF + part * PORT_STRIDE + offset)

    def put(self, part: int, name: str, *values: int) -> None:
        offset, layout = FIELDS[name]
        struct.pack_into(layout, self.bytes, PORT_OFF + part * PORT_STRIDE + offset, *values)

    def image(self, part: int, register: int) -> int:
        return self.get_all(part, "image")[(register - 0x400) // 4]

    def close(self) -> None:
        self.bytes.close()


class Switch:
    """A running ivshmem-server."""

    def __init__(self, build: Build, folder: Path, vectors: int = 1, size: str = "64K") -> None:
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
        self.page = Page(self.shm) if self.shm.stat().st_size >= SHM_SIZE else None

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
            *("-device", f"idt-ntb-ivshmem,chardev=ntb{number},number={number}{words}{options}"),
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
