# SPDX-License-Identifier: MIT
"""QEMU's command line: what it says of a guest's memory, monitors and names (qemu(1))."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Fields = dict[str, str]
"""``key=value,…`` by key; what comes first without a key, by the empty one."""

DEFAULT_MEMORY = 128 << 20
"""Bytes of a guest whose command line does not say."""

_SUFFIXES = "bkmgtpe"
_SHARED_BY_ITSELF = ("memory-backend-memfd", "memory-backend-shm")
_CONFIDENTIAL = ("confidential-guest-support", "memory-encryption")


class Backend(NamedTuple):
    """What a guest's RAM, or a part of it, is made of.

    :ivar name: its ``id``, empty for the one that QEMU makes by itself
    :ivar kind: ``memory-backend-file``, …
    :ivar size: bytes
    :ivar path: ``mem-path``: of the file, or of the folder that it is made in; None without one
    :ivar shared: whether what the guest writes goes to the file
    """

    name: str
    kind: str
    size: int
    path: str | None
    shared: bool


class MonitorOption(NamedTuple):
    """Where QEMU offers QMP.

    :ivar kind: ``unix``, ``tcp``, ``fd`` (a descriptor that it was started with), or ``other``
    :ivar address: path, ``HOST:PORT`` or number
    :ivar chardev: its ``id``, empty without one
    """

    kind: str
    address: str
    chardev: str = ""


class QemuLine:
    """A command line of QEMU's.

    :ivar argv: its words
    :ivar machine: fields of ``-machine``, the type by the empty key
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self.machine: Fields = {}
        for one in itertools.chain(options(argv, "-M"), options(argv, "-machine")):
            self.machine |= one
        if "type" in self.machine:
            self.machine[""] = self.machine.pop("type")

    @property
    def name(self) -> str | None:
        """What ``-name`` calls the guest."""
        names = [one.get("guest") or one.get("") for one in options(self.argv, "-name")]
        return names[-1] if names else None

    @property
    def uuid(self) -> str | None:
        """That of ``-uuid``."""
        return next((one[""] for one in options(self.argv, "-uuid") if "" in one), None)

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Those it may use, the first one that works."""
        found = [one.get("", "") for one in options(self.argv, "-accel")]
        found += self.machine.get("accel", "").split(":")
        found += ["kvm"] if {"-enable-kvm", "--enable-kvm"} & set(self.argv) else []
        return tuple(dict.fromkeys(one for one in found if one))

    @property
    def confidential(self) -> str | None:
        """The option by which the guest's memory is encrypted, None if it is not."""
        return next((key for key in _CONFIDENTIAL if key in self.machine), None)

    @property
    def memory(self) -> int:
        """Bytes that ``-m`` says."""
        words = [one.get("size") or one.get("") for one in options(self.argv, "-m")]
        size = parse_bytes(words[-1] or "", "m") if words else None
        return DEFAULT_MEMORY if size is None else size

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Its RAM, in order of guest-physical addresses; later additions are not in it."""
        known = {one.name: one for one in map(_backend, options(self.argv, "-object")) if one}
        nodes = [one for one in options(self.argv, "-numa") if one.get("") == "node"]
        order = sorted(enumerate(nodes), key=lambda pair: _number(pair[1].get("nodeid"), pair[0]))
        names = [node["memdev"] for _, node in order if "memdev" in node]
        names = names or [self.machine.get("memory-backend", "")]
        found = tuple(known[name] for name in names if name in known)
        if found:
            return found
        path = next((one[""] for one in options(self.argv, "-mem-path") if "" in one), None)
        kind = "memory-backend-file" if path else "memory-backend-ram"
        return (Backend("", kind, self.memory, path, False),)

    @property
    def monitors(self) -> tuple[MonitorOption, ...]:
        """Where it offers QMP."""
        devices = {one.get("id", ""): one for one in options(self.argv, "-chardev")}
        found = []
        for option in ("-qmp", "-qmp-pretty"):
            found += [_monitor(one, devices) for one in options(self.argv, option)]
        for one in options(self.argv, "-mon"):
            if one.get("mode") == "control":
                name = one.get("chardev") or one.get("", "")
                found.append(_chardev(devices.get(name, {}), name))
        return tuple(found)


def options(argv: Sequence[str], name: str) -> Iterator[Fields]:
    """Values of an option, with one dash or two, in whichever form they are written."""
    for word, value in itertools.pairwise(argv):
        if word.lstrip("-") == name.lstrip("-") and word.startswith("-"):
            yield fields(value)


def fields(value: str) -> Fields:
    """The fields of ``first,key=value,flag`` (a comma in a value is doubled), or of JSON."""
    if value.startswith("{"):
        return _json_fields(value)
    found: Fields = {}
    for number, part in enumerate(value.replace(",,", "\0").split(",")):
        key, equals, text = part.replace("\0", ",").partition("=")
        if equals:
            found[key] = text
        else:
            found["" if number == 0 else key] = key if number == 0 else "on"
    return found


def _json_fields(value: str) -> Fields:
    import json

    try:
        known = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    found = {str(key): _word(one) for key, one in known.items()}
    for kind in ("qom-type", "type", "driver", "backend"):
        if kind in found:
            found[""] = found.pop(kind)
            break
    return found


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def parse_bytes(text: str, unit: str = "b") -> int | None:
    """A size as QEMU takes it: ``256M``, ``4G``, ``0x1000``; None for anything else.

    :param unit: what a number without one counts
    """
    digits, suffix = text, unit
    if text[-1:].lower() in _SUFFIXES and text[-1:] and not text.lower().startswith("0x"):
        digits, suffix = text[:-1], text[-1].lower()
    try:
        number = int(digits, 0) if digits.lower().startswith("0x") else float(digits)
        return int(number * (1 << 10 * _SUFFIXES.index(suffix)))
    except (ValueError, OverflowError):
        return None


def _backend(one: Fields) -> Backend | None:
    kind = one.get("", "")
    if not kind.startswith("memory-backend-"):
        return None
    default = "on" if kind in _SHARED_BY_ITSELF else "off"
    shared = one.get("share", default) in ("on", "yes", "true")
    size = parse_bytes(one.get("size", "")) or 0
    return Backend(one.get("id", ""), kind, size, one.get("mem-path"), shared)


def _monitor(one: Fields, devices: dict[str, Fields]) -> MonitorOption:
    """Of ``unix:PATH,…``, ``tcp:HOST:PORT,…``, ``chardev:ID``."""
    kind, _, address = one.get("", "").partition(":")
    if kind == "chardev":
        return _chardev(devices.get(address, {}), address)
    return MonitorOption(kind if kind in ("unix", "tcp") else "other", address)


def _chardev(one: Fields, name: str) -> MonitorOption:
    if "path" in one:
        return MonitorOption("unix", one["path"], name)
    if "port" in one:
        return MonitorOption("tcp", f"{one.get('host', 'localhost')}:{one['port']}", name)
    if "fd" in one:
        return MonitorOption("fd", one["fd"], name)
    return MonitorOption("other", "", name)


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdigit() else otherwise
