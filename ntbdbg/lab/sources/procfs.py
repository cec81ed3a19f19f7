# SPDX-License-Identifier: MIT
"""What /proc tells of a process, without touching it (proc_pid_maps(5), proc_net(5)).

Other users' processes may claim to be anything: all of it is text to be shown, nothing more.
"""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import NamedTuple

from ntbdbg.lab.qemus import PROC

MOST_BYTES = 16 << 20
"""Of one file that are read."""

_LISTENS = 0x10000
"""``__SO_ACCEPTCON`` of Linux' include/linux/net.h."""

_CONNECTED = b"03"
"""``SS_CONNECTED`` of include/uapi/linux/net.h."""


class Mapping(NamedTuple):
    """A part of a process' address space.

    :ivar shared: whether what is written there goes to the file
    :ivar offset: in the file
    :ivar device: major and minor number
    :ivar path: as the process has it; ``/memfd:NAME (deleted)``, empty for none
    """

    start: int
    end: int
    shared: bool
    offset: int
    device: tuple[int, int]
    inode: int
    path: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


class UnixSocket(NamedTuple):
    """An end of a UNIX socket that has a name."""

    inode: int
    path: str
    listens: bool
    connected: bool


class Process:
    """One process; everything is read when it is first asked for.

    :param proc: where /proc is
    :ivar program: path of what it runs, None where we may not know
    """

    def __init__(self, pid: int, proc: str = PROC) -> None:
        self.pid = pid
        self._folder = f"{proc}/{pid}"
        self.program: str | None = None
        with contextlib.suppress(OSError):
            self.program = os.readlink(self.path("exe"))

    def path(self, name: str) -> str:
        """Of a file in its folder of /proc."""
        return f"{self._folder}/{name}"

    @cached_property
    def argv(self) -> tuple[str, ...]:
        """Its command line: one empty word where there is none."""
        words = read(self.path("cmdline")).rstrip(b"\0").split(b"\0")
        return tuple(map(os.fsdecode, words))

    @cached_property
    def start_time(self) -> int:
        """Field 22 of its ``stat``, clock ticks since the host's boot; 0 if it is gone."""
        fields = read(self.path("stat")).rpartition(b")")[2].split()
        return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else 0

    @cached_property
    def uid(self) -> int | None:
        """The user whose it is, None if it is gone."""
        with contextlib.suppress(OSError):
            return os.stat(self._folder).st_uid
        return None

    @cached_property
    def maps(self) -> list[Mapping] | None:
        """Its address space; None where we may not look."""
        try:
            with open(self.path("maps"), "rb") as file:
                return parse_maps(file.read(MOST_BYTES))
        except OSError:
            return None

    @cached_property
    def may_be_read(self) -> bool:
        """Whether we may read its memory; opening it stops nothing."""
        try:
            os.close(os.open(self.path("mem"), os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    @cached_property
    def descriptors(self) -> dict[int, str]:
        """What each of its descriptors is, as /proc/PID/fd names it; empty where we may not."""
        found = {}
        with contextlib.suppress(OSError):
            for entry in os.listdir(self.path("fd")):
                with contextlib.suppress(OSError):
                    found[int(entry)] = os.readlink(self.path(f"fd/{entry}"))
        return found


def parse_maps(data: bytes) -> list[Mapping]:
    """``maps``; lines that make no sense are left out."""
    found = []
    for line in data.splitlines():
        with contextlib.suppress(ValueError, IndexError):
            found.append(_mapping(line))
    return found


def _mapping(line: bytes) -> Mapping:
    fields = line.split(None, 5)
    start, _, end = fields[0].partition(b"-")
    major, _, minor = fields[3].partition(b":")
    return Mapping(
        int(start, 16),
        int(end, 16),
        fields[1].endswith(b"s"),
        int(fields[2], 16),
        (int(major, 16), int(minor, 16)),
        int(fields[4]),
        os.fsdecode(fields[5]) if len(fields) > 5 else "",
    )


def unix_sockets(proc: str = PROC) -> list[UnixSocket]:
    """Those of this network namespace that have a name."""
    found = []
    for line in read(f"{proc}/net/unix").splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8:
            with contextlib.suppress(ValueError):
                flags, state, inode, path = int(fields[3], 16), fields[5], fields[6], fields[7]
                listens = bool(flags & _LISTENS)
                name = os.fsdecode(path)
                found.append(UnixSocket(int(inode), name, listens, state == _CONNECTED))
    return found


def read(path: str) -> bytes:
    """At most `MOST_BYTES` of a file; nothing where we may not."""
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return b""
