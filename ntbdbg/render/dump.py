# SPDX-License-Identifier: MIT
"""A range of memory in the formats of ``ntbdbg dump`` other than hex; all of them stream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ntbdbg.render.json import document, encoded

Chunks = Iterable[tuple[int, bytes]]


def raw(chunks: Chunks) -> Iterator[bytes]:
    """The bytes themselves."""
    for _, data in chunks:
        yield data


def c_array(chunks: Chunks, name: str, size: int) -> Iterator[bytes]:
    """A C array as ``xxd -i`` writes it, and its length.

    :param name: turned into a C identifier
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not name or name[0].isdigit():
        name = "_" + name
    yield f"unsigned char {name}[] = {{\n".encode()
    separator = "  "
    for _, data in chunks:
        lines = [data[at : at + 12] for at in range(0, len(data), 12)]
        text = ",\n  ".join(", ".join(f"0x{byte:02x}" for byte in line) for line in lines)
        yield (separator + text).encode()
        separator = ",\n  "
    yield f"\n}};\nunsigned int {name}_len = {size};\n".encode()


def json_dump(
    chunks: Chunks, facts: Mapping[str, Any], labels: Sequence[Mapping[str, Any]] | None = None
) -> Iterator[bytes]:
    """One JSON document: `facts`, then ``data`` as hex digits, then ``labels`` if there are any."""
    head = document("dump", facts)
    yield f'{head[:-1]}, "data": "'.encode()
    for _, data in chunks:
        yield data.hex().encode()
    more = "" if labels is None else f', "labels": {encoded(labels)}'
    yield f'"{more}}}\n'.encode()
