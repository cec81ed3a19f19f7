# SPDX-License-Identifier: MIT
"""What lies behind the pointers of a structure, and behind theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.kernel.values.fields import Field, FieldOptions, Origin, fields
from ntbdbg.kernel.values.shape import Compound, Scalar, Shape, Slot

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

LARGEST = 1 << 20
"""Bytes of a structure that is followed to."""

MAX_TEXT = 256
"""Bytes of a text that is followed to."""


def follow_fields(
    what: Shape | Slot,
    address: int,
    data: bytes,
    options: FieldOptions,
    memory: PhysicalMemory,
    levels: int,
) -> Iterator[Field]:
    """As `fields`, and after each pointer the fields of what it leads to.

    Structures are entered once each, so circles end.

    :param address: of `what`
    :param memory: where pointers lead
    :param levels: pointers in a row that are followed
    """
    shape = what.shape if isinstance(what, Slot) else what
    seen = {(address, shape.name)}
    start = _Follower(memory, options, levels, seen).options if levels else options
    return fields(what, data, start, Origin(address))


class _Follower:
    """Goes through pointers of one level."""

    def __init__(
        self,
        memory: PhysicalMemory,
        options: FieldOptions,
        levels: int,
        seen: set[tuple[int, str]],
    ) -> None:
        self.memory, self.seen, self.plain, self.levels = memory, seen, options, levels
        self.options = options._replace(follow=self.behind)

    def behind(self, pointer: Field, shape: Shape) -> Iterator[Field]:
        """The fields of what `pointer` leads to."""
        assert isinstance(pointer.value, int)
        base, path = pointer.value, f"{pointer.path}->"
        found = self._try(pointer, shape)
        if isinstance(found, bytes):
            below = self.plain if self.levels == 1 else self._deeper()
            yield from fields(shape, found, below, Origin(base, path, pointer.depth + 1))
        elif found is not None:
            kind, value, meaning = found
            yield Field(
                path,
                "->",
                pointer.depth + 1,
                0,
                shape.size,
                shape.name,
                kind,
                value,
                meaning,
                base=base,
            )

    def _deeper(self) -> FieldOptions:
        return _Follower(self.memory, self.plain, self.levels - 1, self.seen).options

    def _try(self, pointer: Field, shape: Shape) -> bytes | tuple[str, str | None, str] | None:
        """Bytes of a structure; kind, value and meaning of anything else worth a line."""
        assert isinstance(pointer.value, int)
        is_text = isinstance(shape, Scalar) and shape.kind == "char"
        if not is_text and not (isinstance(shape, Compound) and 0 < shape.size <= LARGEST):
            return None
        if (pointer.value, shape.name) in self.seen:
            return "seen", None, "shown above"
        try:
            if is_text:
                text = _text(self.memory, pointer.value)
                return None if text is None else ("text", text, "")
            data = self.memory.read(pointer.value, shape.size)
        except (FaultError, KernelError) as error:
            return "fault", None, error.message
        self.seen.add((pointer.value, shape.name))
        return data


def _text(memory: PhysicalMemory, address: int) -> str | None:
    """The characters at `address` up to a NUL; None if they are none."""
    room = min(MAX_TEXT, 4096 - address % 4096)  # not into a page that may not be there
    data, nul, _ = memory.read(address, room).partition(b"\0")
    if not nul and room < MAX_TEXT:
        data = memory.read(address, MAX_TEXT).partition(b"\0")[0]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
