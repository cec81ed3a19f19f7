# SPDX-License-Identifier: MIT
"""What pahole says of the structures in a file's BTF: an independent reader of it.

structs("vmlinux")["struct list_head"].members["next"]       # Extent(0, None, 8)
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_OPEN = re.compile(r"(?:(?:const|volatile) )*(struct|union|enum)(?: (\w+))? +\{$")
_PLACE = re.compile(r"^(.*?);?\s*/\*\s*(\d+)(?::\s*(\d+))?\s+(\d+)\s*\*/$")
_SIZE = re.compile(r"/\* size: (\d+), ")
_FUNCTION = re.compile(r"\(\*+\s*(?:const\s+)?(\w+)")
_ATTRIBUTE = re.compile(r"__attribute__\(\((\w|\(\w*\)|, )*\)\)")


class Extent(NamedTuple):
    """Where a member lies.

    :ivar start: bits from the structure's start
    :ivar bits: of a bit field, None if it is none
    :ivar size: bytes of its type
    """

    start: int
    bits: int | None
    size: int


class Printed(NamedTuple):
    """A structure as pahole prints it.

    :ivar members: by path; those of unnamed types within it, too
    """

    size: int
    members: dict[str, Extent]


def structs(path: Path, base: Path | None = None, names: Iterable[str] = ()) -> dict[str, Printed]:
    """Structures and unions by name: ``struct list_head``.

    :param base: vmlinux, for a module
    :param names: ``list_head``; by default all that have a name
    """
    only = [f"--class_name={','.join(names)}"] if names else []
    lines = iter(_run(path, base, *only))
    found: dict[str, Printed] = {}
    for line in lines:
        opened = _OPEN.match(line)
        if opened:
            found.setdefault(f"{opened[1]} {opened[2]}", _block(lines)[0])
    for line in _run(path, base, "--sizes", "--unions"):  # it prints no sizes beside them
        name, size, _ = line.split("\t")
        if (key := f"union {name}") in found:
            found[key] = found[key]._replace(size=int(size))
    return found


def _run(path: Path, base: Path | None, *words: str) -> list[str]:
    argv = ["pahole", "-F", "btf", *(["--btf_base", str(base)] if base else []), *words, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def _block(lines: Iterator[str]) -> tuple[Printed, str]:
    """The lines of a structure up to its closing one, which is given as well."""
    size, members = 0, dict[str, Extent]()
    for line in map(str.strip, lines):
        opened = _OPEN.match(line)
        if opened:
            inner, closing = _block(lines)
            place = _member(closing.removeprefix("}"))
            if place is not None and place[0]:
                members[place[0]] = place[1]
            if opened[1] != "enum" and "*" not in closing.partition("/*")[0]:
                prefix = f"{place[0]}." if place is not None and place[0] else ""
                members |= {prefix + name: extent for name, extent in inner.members.items()}
        elif line.startswith("}"):
            return Printed(size, members), line
        elif match := _SIZE.search(line):
            size = int(match[1])
        elif (place := _member(line)) is not None:
            members[place[0]] = place[1]
    raise AssertionError("pahole's output ends within a structure")


def _member(line: str) -> tuple[str, Extent] | None:
    match = _PLACE.match(line.strip())
    if match is None:
        return None
    declaration = _ATTRIBUTE.sub("", match[1]).strip()
    words, _, bits = declaration.rpartition(":") if match[3] else (declaration, "", "")
    function = _FUNCTION.search(words)
    plain = re.sub(r"\[\d*\]", "", words).split()
    name = function[1] if function else plain[-1].lstrip("*") if plain else ""
    start = 8 * int(match[2]) + int(match[3] or 0)
    return name, Extent(start, int(bits) if bits else None, int(match[4]))
