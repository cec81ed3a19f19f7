# SPDX-License-Identifier: MIT
"""Which running QEMU has a file mapped, how, and what it is to its guest.

Asked about files that no run.json knows. A file that QEMU maps privately (``share=off``) keeps what
was in it before; a file of a further NUMA node does not begin at address 0. Other users' processes
cannot be looked into.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.lab.qemus import PROC

if TYPE_CHECKING:
    from ntbdbg.memory.file import CheckedFile

MOST_BYTES = 16 << 20
"""Of maps and command lines that are read; another user's process may claim to be QEMU."""


class Holder(NamedTuple):
    """A QEMU process that has the file mapped.

    :ivar private: whether only privately, so that what the guest writes is not in the file
    :ivar argv: its command line
    """

    pid: int
    private: bool
    argv: tuple[str, ...]


def holders(file: CheckedFile, pids: Iterable[str], proc: str = PROC) -> list[Holder]:
    """Those of the QEMUs `pids` that have `file` mapped."""
    found = []
    for pid in pids:
        private = _mapping(file, _read(os.path.join(proc, pid, "maps")))
        if private is not None:
            argv = _read(os.path.join(proc, pid, "cmdline")).rstrip(b"\0").split(b"\0")
            found.append(Holder(int(pid), private, tuple(map(os.fsdecode, argv))))
    return found


def _mapping(file: CheckedFile, maps: bytes) -> bool | None:
    """Whether the file is mapped privately alone; None if not at all (proc_pid_maps(5))."""
    device, inode, _ = file.identity
    number = b"%02x:%02x" % (os.major(device), os.minor(device))
    private: bool | None = None
    for line in maps.splitlines():
        fields = line.split(None, 5)
        if len(fields) < 5 or fields[4] != b"%d" % inode:
            continue
        # File systems in layers tell another device here than stat(2).
        if fields[3] != number and fields[5:] != [os.fsencode(file.path)]:
            continue
        private = fields[1].endswith(b"p") and private is not False
    return private


def numa_node(argv: tuple[str, ...], path: str) -> int | None:
    """Which of several NUMA nodes has its RAM in the file at `path`; None if that is not told."""
    backends = {_value(one, "id"): _value(one, "mem-path") for one in _options(argv, "-object")}
    nodes = [one for one in _options(argv, "-numa") if one.startswith("node")]
    order = sorted(enumerate(nodes), key=lambda pair: int(_value(pair[1], "nodeid") or pair[0]))
    files = [backends.get(_value(node, "memdev")) for _, node in order]
    own = [index for index, file in enumerate(files) if file and _is_same(file, path)]
    return own[0] if len(files) > 1 and own else None


def is_of_ivshmem(argv: tuple[str, ...], path: str) -> bool:
    """Whether the file at `path` is what an ivshmem device shows, and no RAM of the machine."""
    devices = [one for one in _options(argv, "-device") if one.startswith("ivshmem")]
    shown = {_value(one, "memdev") for one in devices} - {""}
    backends = [one for one in _options(argv, "-object") if _value(one, "id") in shown]
    return any(_is_same(_value(one, "mem-path"), path) for one in backends)


def _options(argv: tuple[str, ...], name: str) -> Iterator[str]:
    """Values of an option in QEMU's ``key=value,…`` form, whichever form they have."""
    for word, value in itertools.pairwise(argv):
        if word.lstrip("-") == name.lstrip("-"):
            yield _plain(value)


def _plain(value: str) -> str:
    if not value.startswith("{"):
        return value
    import json

    try:
        known = json.loads(value)
    except ValueError:
        return ""
    kinds = ("qom-type", "type", "driver")
    words = [str(known.pop(key)) for key in kinds if key in known]
    return ",".join([*words, *(f"{key}={one}" for key, one in known.items())])


def _value(option: str, key: str) -> str:
    pairs = (part.partition("=") for part in option.split(","))
    return next((value for name, _, value in pairs if name == key), "")


def _is_same(file: str, path: str) -> bool:
    try:
        return os.path.samefile(file, path)
    except OSError:
        return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return b""
