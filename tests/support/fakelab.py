# SPDX-License-Identifier: MIT
"""A lab without QEMU: run.json, sparse RAM files, monitors that answer.

    lab = FakeLab(tmp_path)                        # two guests, 16 MiB each, live
    lab.poke("qemu1", 0x1000, b"hello")
    lab.monkeypatch(monkeypatch)                   # ntbdbg in this process finds it
    run_ntbdbg("dump", "qemu1", "0x1000", env=lab.environ)

The `lab` fixture of tests/ntbdbg/conftest.py makes one and closes it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ntbdbg.lab.manifest import (
    FILE_NAME,
    GuestRecord,
    LinkRecord,
    Manifest,
    ProcessRef,
    RamRecord,
    SegmentRecord,
)
from ntbdbg.memory.base import Segment, SegmentMap
from ntbdbg.memory.layout import qemu_segments
from tests.support.fakeqmp import FakeQmp

MIB = 1 << 20
DEFAULT_RAM = 16 * MIB
GONE = ProcessRef(pid=1 << 22, start_time=1)
"""A process that does not exist: beyond the largest pid of Linux."""


class FakeLab:
    """A lab called `name` below `root`, which plays the user's runtime folder.

    :param ram: bytes of RAM per guest; from 0xb0000000 on q35 splits it around the PCI hole
    :param live: whether the guests' processes count as running (this process stands in)
    :param page: content of the link's shared page, None for no link
    :param vga: whether run.json cuts 0xa0000-0xbffff out of the segments
    :ivar folder: the lab's folder with run.json
    :ivar qmp: by guest, its FakeQmp (live labs only)
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str = "default",
        guests: Sequence[str] = ("qemu1", "qemu2"),
        ram: int = DEFAULT_RAM,
        machine: str = "q35",
        live: bool = True,
        page: bytes | None = None,
        vga: bool = True,
    ) -> None:
        self.root = root
        self.folder = root / "ntbdbg" / name
        self.folder.mkdir(mode=0o700, parents=True)
        (root / "ntbdbg").chmod(0o700)
        # Socket paths are limited to 107 bytes, which a pytest folder can exceed.
        self._sockets = Path(tempfile.mkdtemp(prefix="ntb-"))
        self.qmp: dict[str, FakeQmp] = {}
        self._process = ProcessRef.of(os.getpid()) if live else GONE
        whole = qemu_segments(machine, ram)
        self.segments = whole if vga else _uncut(whole)
        records = tuple(self._guest(g, i, ram, machine, live) for i, g in enumerate(guests))
        self.manifest = Manifest(
            lab=name,
            state="linked" if live else "stopped",
            created=time.time(),
            guests=records,
            link=None if page is None else self._link(page),
        )
        self.save()

    @property
    def path(self) -> Path:
        """run.json."""
        return self.folder / FILE_NAME

    @property
    def environ(self) -> dict[str, str]:
        """The process's environment, changed so that ntbdbg finds this lab and no other."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("NTBDBG_")}
        return {**kept, **self._variables()}

    def monkeypatch(self, monkeypatch: Any) -> None:
        """Make ntbdbg in this very process find the lab (a pytest MonkeyPatch)."""
        monkeypatch.delenv("NTBDBG_FROM", raising=False)
        monkeypatch.delenv("NTBDBG_LAB", raising=False)
        for key, value in self._variables().items():
            monkeypatch.setenv(key, value)

    def save(self) -> None:
        """Write `manifest` to run.json."""
        self.manifest.save(self.path)

    def edit(self, guest: str | None = None, **changes: Any) -> None:
        """Change fields of the manifest, or of one guest's record in it, and save."""
        from dataclasses import replace

        if guest is None:
            self.manifest = replace(self.manifest, **changes)
        else:
            guests = tuple(
                replace(g, **changes) if g.name == guest else g for g in self.manifest.guests
            )
            self.manifest = replace(self.manifest, guests=guests)
        self.save()

    def ram_path(self, guest: str) -> Path:
        """The RAM file of `guest`."""
        return Path(self.manifest.guest(guest).ram.path)

    def poke(self, guest: str, address: int, data: bytes) -> None:
        """Store bytes at a guest-physical address, as the guest itself would."""
        done = 0
        with self.ram_path(guest).open("r+b") as file:
            for segment, start, size in self.segments.pieces(address, len(data)):
                file.seek(start - segment.start + segment.offset)
                file.write(data[done : done + size])
                done += size
        assert done == len(data), f"{address + done:#x} is no RAM"

    def peek(self, guest: str, address: int, size: int) -> bytes:
        """Bytes at a guest-physical address."""
        data = b""
        with self.ram_path(guest).open("rb") as file:
            for segment, start, length in self.segments.pieces(address, size):
                file.seek(start - segment.start + segment.offset)
                data += file.read(length)
        assert len(data) == size
        return data

    def replace_ram(self, guest: str) -> None:
        """Put a new file of the same size at the RAM file's path, as a new run does."""
        path = self.ram_path(guest)
        size = path.stat().st_size
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.truncate(size)
        fresh.replace(path)

    def close(self) -> None:
        """Stop the monitors."""
        for server in self.qmp.values():
            server.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def __enter__(self) -> FakeLab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _variables(self) -> dict[str, str]:
        state = self.root / "state"
        return {"XDG_RUNTIME_DIR": os.fspath(self.root), "XDG_STATE_HOME": os.fspath(state)}

    def _guest(self, name: str, index: int, ram: int, machine: str, live: bool) -> GuestRecord:
        path = self.folder / f"{name}.ram"
        with path.open("wb") as file:
            file.truncate(ram)
        status = path.stat()
        socket = self._sockets / f"{name}.qmp"
        if live:
            self.qmp[name] = FakeQmp(socket)
        return GuestRecord(
            name=name,
            index=index,
            ram=RamRecord(
                path=os.fspath(path),
                device=status.st_dev,
                inode=status.st_ino,
                size=ram,
                segments=tuple(SegmentRecord(*segment) for segment in self.segments),
            ),
            qmp=os.fspath(socket),
            qmp_launcher=os.fspath(socket) + ".launcher",
            console_log=os.fspath(self.folder / f"{name}.console"),
            log=os.fspath(self.folder / f"{name}.log"),
            port=index * 2,
            process=self._process,
            ssh_port=7001 + index,
            console_port=8001 + index,
            machine=machine,
        )

    def _link(self, page: bytes) -> LinkRecord:
        path = self.folder / "page"
        path.write_bytes(page)
        return LinkRecord(os.fspath(path), self._process, os.fspath(self._sockets / "server"))


def _uncut(segments: SegmentMap) -> SegmentMap:
    """Join the two parts around the VGA hole again."""
    low, above, *rest = segments
    return SegmentMap([Segment(0, above.end, low.offset), *rest])
