# SPDX-License-Identifier: MIT
"""Binary structures declared by hand with construct, and a walk over their members.

construct is imported when the first one is looked at: kernel types do without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Value = int | bytes | tuple[int, ...]


class Member(NamedTuple):
    """One member of a decoded structure.

    :ivar offset: bytes from the start of the outermost structure
    :ivar size: bytes
    :ivar path: ``hdr.version``, ``seg[3].gpa``
    :ivar value: a number, bytes, or several numbers
    :ivar meaning: in words, empty if there is nothing to say
    """

    offset: int
    size: int
    path: str
    value: Value
    meaning: str

    @property
    def is_padding(self) -> bool:
        """Reserved or padding by its name."""
        name = self.path.rpartition(".")[2]
        return name.startswith(("_pad", "rsvd_"))

    @property
    def is_zero(self) -> bool:
        """Nothing but zeros."""
        return not (any(self.value) if isinstance(self.value, bytes | tuple) else self.value)


Explain = Callable[[int], str]


@dataclass(frozen=True)
class StructDef:
    """A structure that ``decode`` knows.

    :ivar doc: one line
    :ivar source: where its layout comes from
    :ivar layout: makes the construct `Struct`
    :ivar place: ``memory``: at an address; ``page``: in the link's shared page
    :ivar explain: by last part of the path, what a number means
    """

    name: str
    doc: str
    source: str
    layout: Callable[[], Any]
    place: str
    explain: Mapping[str, Explain] = field(default_factory=dict, compare=False)


def members(struct: Any, data: bytes, explain: Mapping[str, Explain]) -> Iterator[Member]:
    """Every member of `struct` over `data`, nested ones flattened, in order of offsets.

    :param struct: a construct `Struct` of fixed size, `len(data)` bytes or less
    """
    yield from _walk(struct, data, 0, "", explain)


def _walk(
    struct: Any, data: bytes, offset: int, prefix: str, explain: Mapping[str, Explain]
) -> Iterator[Member]:
    for renamed in struct.subcons:
        size = int(renamed.sizeof())
        path = f"{prefix}{renamed.name}"
        nested = list(_structs(_bare(renamed), offset, path))
        for inner, at, name in nested:
            yield from _walk(inner, data, at, f"{name}.", explain)
        if not nested:
            value = _value(_bare(renamed), data[offset : offset + size])
            yield Member(offset, size, path, value, _meaning(renamed, value, explain))
        offset += size


def _bare(kind: Any) -> Any:
    """Without the wrappers that hold its name and its comment."""
    from construct import Renamed

    while isinstance(kind, Renamed):
        kind = kind.subcon
    return kind


def _structs(kind: Any, offset: int, path: str) -> Iterator[tuple[Any, int, str]]:
    """The structures in `kind`, a structure itself or arrays of them: with offset and path."""
    from construct import Array, Struct

    if isinstance(kind, Struct):
        yield kind, offset, path
    elif isinstance(kind, Array):
        step = int(kind.subcon.sizeof())
        for index in range(kind.count):
            yield from _structs(_bare(kind.subcon), offset + index * step, f"{path}[{index}]")


def _value(kind: Any, raw: bytes) -> Value:
    from construct import Array, Bytes, FormatField

    if isinstance(kind, Array):
        return tuple(kind.parse(raw))
    assert isinstance(kind, FormatField | Bytes), kind
    value: int | bytes = kind.parse(raw)
    return value


def _meaning(renamed: Any, value: Value, explain: Mapping[str, Explain]) -> str:
    if renamed.name in explain and isinstance(value, int):
        return explain[renamed.name](value)
    return str(renamed.docs or "")
