# SPDX-License-Identifier: MIT
"""What lies behind pointers."""

from __future__ import annotations

import struct
from typing import Any

from ntbdbg.kernel.values.fields import FieldOptions
from ntbdbg.kernel.values.follow import MAX_TEXT, follow_fields
from ntbdbg.kernel.values.shape import Compound, Scalar, Shape, Slot
from ntbdbg.memory import BufferMemory
from tests.ntbdbg.kernel.program.test_codec import CHAR, INT, compound

NODE = Compound(
    "struct node",
    24,
    "struct",
    lambda: [Slot("next", NEXT, 0), Slot("id", INT, 8), Slot("name", NAME, 16)],
)
NEXT = Scalar("struct node *", 8, "pointer", pointee=lambda: NODE)
NAME = Scalar("char *", 8, "pointer", pointee=lambda: CHAR)


def memory(*nodes: tuple[int, int, int], text: bytes = b"eth0\0") -> BufferMemory:
    """Nodes (next, id, name) at 0x100, 0x200, …, and `text` at 0x80."""
    data = bytearray(0x1000)
    data[0x80 : 0x80 + len(text)] = text
    for number, (following, ident, name) in enumerate(nodes, 1):
        data[number * 0x100 : number * 0x100 + 24] = struct.pack("<QIxxxxQ", following, ident, name)
    return BufferMemory(data)


def walk(
    where: BufferMemory, levels: int, shape: Shape = NODE, address: int = 0x100, **options: Any
) -> list[tuple[Any, ...]]:
    data = where.read(address, shape.size)
    found = follow_fields(shape, address, data, FieldOptions(**options), where, levels)
    return [(f.depth, f.base + f.offset, f.path, f.kind, f.value) for f in found]


def test_nothing_is_followed_unless_asked() -> None:
    assert walk(memory((0x200, 1, 0x80), (0, 2, 0)), 0) == [
        (0, 0x100, "next", "pointer", 0x200),
        (0, 0x108, "id", "int", 1),
        (0, 0x110, "name", "pointer", 0x80),
    ]


def test_structures_and_texts_are_followed() -> None:
    assert walk(memory((0x200, 1, 0x80), (0x300, 2, 0), (0, 3, 0)), 1) == [
        (0, 0x100, "next", "pointer", 0x200),
        (1, 0x200, "next->next", "pointer", 0x300),
        (1, 0x208, "next->id", "int", 2),
        (1, 0x210, "next->name", "pointer", 0),
        (0, 0x108, "id", "int", 1),
        (0, 0x110, "name", "pointer", 0x80),
        (1, 0x80, "name->", "text", "eth0"),
    ]


def test_as_many_in_a_row_as_asked() -> None:
    paths = [path for _, _, path, *_ in walk(memory((0x200, 1, 0), (0x300, 2, 0), (0, 3, 0)), 2)]
    assert "next->next->id" in paths
    assert "next->next->next->id" not in paths


def test_circles_end() -> None:
    where = memory((0x200, 1, 0), (0x100, 2, 0))
    found = walk(where, 16)
    assert (2, 0x100, "next->next->", "seen", None) in found
    assert len(found) == 7
    assert walk(memory((0x100, 1, 0)), 16)[1] == (1, 0x100, "next->", "seen", None)


def test_what_cannot_be_read_is_said() -> None:
    found = walk(memory((0x10000, 1, 0x20000)), 3)
    assert [(path, kind) for _, _, path, kind, _ in found] == [
        ("next", "pointer"),
        ("next->", "fault"),
        ("id", "int"),
        ("name", "pointer"),
        ("name->", "fault"),
    ]


def test_characters_that_are_none_are_left_out() -> None:
    assert len(walk(memory((0, 1, 0x80), text=b"\xff\xfe\0"), 1)) == 3


def test_a_text_ends_with_its_memory() -> None:
    assert walk(memory((0, 1, 0x80), text=b"x" * 0x70), 1)[-1][4] == "x" * 0x70
    data = bytearray(b"y" * 0x2000)
    data[0x100:0x108] = struct.pack("<Q", 0x1F80)
    pointer = compound("struct", 8, Slot("p", NAME, 0))
    assert walk(BufferMemory(data), 1, pointer)[-1][2:] == ("p->", "fault", None)
    data[0x100:0x108] = struct.pack("<Q", 0x200)
    assert walk(BufferMemory(data), 1, pointer)[-1][4] == "y" * MAX_TEXT


def test_depth_counts_anew_behind_each_pointer() -> None:
    outer = Compound(
        "struct outer", 32, "struct", lambda: [Slot("p", NEXT, 0), Slot("inner", NODE, 8)]
    )
    where = memory((0x200, 1, 0), (0, 2, 0))
    paths = [path for _, _, path, *_ in walk(where, 1, outer, 0x100, depth=1)]
    assert paths == ["p", "p->next", "p->id", "p->name", "inner"]
