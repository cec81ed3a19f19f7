# SPDX-License-Identifier: MIT
"""Flattened device trees, as firmware and boot loaders leave them in a guest's RAM.

Devicetree Specification 0.4, chapter 5. Read is what tells where RAM lies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ntbdbg.arch.signs import DEVICE_TREE

LARGEST = 2 << 20
"""Bytes; Linux maps no larger one (``MAX_FDT_SIZE``)."""

_HEADER = struct.Struct(">10I")
_WORD = struct.Struct(">I")
_BEGIN, _END, _PROPERTY, _NOP = 1, 2, 3, 4


class DeviceTree(NamedTuple):
    """What is asked of one.

    :ivar compatible: of the machine: ``riscv-virtio``
    :ivar processors: ``compatible`` of each processor: ``arm,cortex-a72``
    :ivar memory: RAM as ``(address, size)``, never empty
    """

    compatible: str
    processors: tuple[str, ...]
    memory: tuple[tuple[int, int], ...]


class _Property(NamedTuple):
    path: tuple[str, ...]
    name: str
    value: bytes


def total_size(head: bytes) -> int:
    """Bytes of the tree that begins with `head`; 0 if it is none, or too large for one."""
    if len(head) < _HEADER.size or not head.startswith(DEVICE_TREE):
        return 0
    size = int(_HEADER.unpack_from(head)[1])
    return size if _HEADER.size <= size <= LARGEST else 0


def parse(blob: bytes) -> DeviceTree | None:
    """The tree in `blob`; None if it is damaged, or tells of no RAM."""
    if not total_size(blob):
        return None
    try:
        properties = list(_properties(blob))
        memory = tuple(_memory(properties))
    except (struct.error, IndexError, ValueError):
        return None
    roots = {one.name: one.value for one in properties if not one.path}
    processors = tuple(_text(p.value) for p in properties if _is_processor(p))
    return DeviceTree(_text(roots.get("compatible", b"")), processors, memory) if memory else None


def _properties(blob: bytes) -> Iterator[_Property]:
    """All properties; ends where the structure does, or at a token that is none."""
    _, total, structure, strings, *_ = _HEADER.unpack_from(blob)
    blob = blob[:total]
    path: list[str] = []
    at = structure
    while at + 4 <= len(blob):
        (token,) = _WORD.unpack_from(blob, at)
        at += 4
        if token == _BEGIN:
            end = blob.index(b"\0", at)
            path.append(blob[at:end].decode("latin-1"))
            at = end + 1
        elif token == _END and path:
            path.pop()
        elif token == _PROPERTY:
            size, name = struct.unpack_from(">II", blob, at)
            at += 8
            value = blob[at : at + size]
            yield _Property(tuple(path[1:]), _text(blob[strings + name :][:64]), value)
            at += size
        elif token != _NOP:
            return
        at += -at % 4


def _memory(properties: list[_Property]) -> Iterator[tuple[int, int]]:
    """``reg`` of the memory nodes right below the root."""
    roots = {one.name: one.value for one in properties if not one.path}
    cells = [_cells(roots.get(f"#{what}-cells")) for what in ("address", "size")]
    step = 4 * sum(cells)
    for one in properties:
        if len(one.path) != 1 or one.path[0].partition("@")[0] != "memory" or one.name != "reg":
            continue
        for at in range(0, len(one.value) - step + 1, step):
            middle = at + 4 * cells[0]
            size = int.from_bytes(one.value[middle : at + step], "big")
            if size:
                yield int.from_bytes(one.value[at:middle], "big"), size


def _cells(value: bytes | None) -> int:
    if value is None:
        return 2
    (count,) = _WORD.unpack(value)
    if not 1 <= count <= 2:
        raise ValueError(count)
    return int(count)


def _is_processor(one: _Property) -> bool:
    is_one = len(one.path) == 2 and one.path[0] == "cpus" and one.path[1].startswith("cpu@")
    return is_one and one.name == "compatible"


def _text(value: bytes) -> str:
    """The first of the texts in a value."""
    return value.partition(b"\0")[0].decode("latin-1")
