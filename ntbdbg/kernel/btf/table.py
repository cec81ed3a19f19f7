# SPDX-License-Identifier: MIT
"""The types of a BTF as numbered rows of words and names; what they mean is `Btf`'s part."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Self

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.format import TYPE_WORDS, Kind, kind_number, kind_of, split
from ntbdbg.kernel.btf.index import Index, make_index

NEWER = "the guest's memory is damaged, or the kernel newer than this version knows"

ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})


class TypeTable:
    """Rows of one BTF, and of the base that a module's BTF continues.

    :ivar name: ``vmlinux``, or the module's name
    :ivar base: None for vmlinux
    :ivar first_id: number of the first type of its own
    :ivar partial: why types at its end are missing, None if none are
    """

    partial: str | None
    _end_of_names: int

    def __init__(self, data: bytes, base: Self | None, name: str, index: bytes | None) -> None:
        self.name, self.base, self.data = name, base, data
        if base is not None and base.partial is not None:
            raise KernelError(f"BTF of {name}: its base is partial: {base.partial}", hint=NEWER)
        who = f"BTF of {name}"
        self._types, self._strings, layouts = split(data, who, has_base=base is not None)
        self._words: Sequence[int] = self._types.cast("I") if self._types else ()
        self.first_id = 1 if base is None else len(base)
        self._first_name = 0 if base is None else base._end_of_names
        self._end_of_names = self._first_name + self._strings.size
        saved = None if index is None else Index.from_bytes(index, data)
        self._index = saved or make_index(self._words, self.first_id, layouts)
        self.partial = self._index.partial

    def __len__(self) -> int:
        """The first number that is no type: so many types there are, base and ``void`` too."""
        return self.first_id + len(self._index.positions)

    @property
    def trouble(self) -> str | None:
        """`partial` as a sentence for whoever misses a type, None if all are there."""
        if self.partial is None:
            return None
        return f"BTF of {self.name}: {self.partial}, so it and all after it are missing"

    @cached_property
    def missing(self) -> str | None:
        """Why types may be missing: `trouble`, or damage that shows nowhere else; None if none.

        For whoever misses one, as all types are looked at.
        """
        if self.trouble is not None:
            return self.trouble
        from ntbdbg.kernel.btf.damage import first_wrong

        wrong = first_wrong(self._words, self._index.positions, self._begins, len(self))
        if wrong is not None:
            number = self.first_id + wrong
            return f"BTF of {self.name}: type {number} makes no sense, so others may be missing"
        return None if self.base is None else self.base.missing

    def kind_words(self, number: int) -> str:
        """What kind of type `number` is, for messages: ``a STRUCT``."""
        raw = kind_number(self._take(number, 1, 1)[0])
        kind = kind_of(raw << 24)
        return f"of unknown kind {raw}" if kind is Kind.UNKNOWN else f"a {kind.name}"

    def error(self, number: int, why: str) -> KernelError:
        """What to raise when type `number` makes no sense."""
        return KernelError(
            f"BTF of {self.name}: type {number} {why}",
            hint=NEWER,
        )

    # -- words -----------------------------------------------------------------------------

    def _row(self, number: int) -> tuple[Self, int]:
        """Whose type it is, and its first word there."""
        if number < self.first_id and self.base is not None:
            return self.base._row(number)
        index = number - self.first_id
        if 0 <= index < len(self._index.positions):
            return self, self._index.positions[index]
        missing = f": {self.partial}" if self.partial else f", only {len(self)} are"
        raise self.error(number, f"is not there{missing}")

    def _take(self, number: int, count: int, skip: int = 0) -> Sequence[int]:
        """`count` words of type `number`, after its first `skip`."""
        owner, position = self._row(number)
        words = owner._words[position + skip : position + skip + count]
        if len(words) < count:
            raise self.error(number, "is cut short")
        return words

    def _items(self, number: int, count: int, width: int) -> Iterator[tuple[str, Sequence[int]]]:
        """Name and further words of each of its `count` items of `width` words."""
        words = self._take(number, count * width, TYPE_WORDS)
        for start in range(0, count * width, width):
            yield self._string(words[start]), words[start + 1 : start + width]

    # -- names -----------------------------------------------------------------------------

    def _string(self, offset: int) -> str:
        if offset < self._first_name and self.base is not None:
            return self.base._string(offset)
        name = self._strings.at(offset - self._first_name)
        if name is None:
            raise KernelError(f"BTF of {self.name}: {offset:#x} leads to no name")
        return name.decode("utf-8", "backslashreplace")

    def _begins(self, offset: int) -> bool:
        """Whether a name begins there: as every writer has each once, none within another."""
        own = offset - self._first_name
        if own < 0:
            return self.base is not None and self.base._begins(offset)
        return self._strings.begins(own)

    def _named(self, name: str) -> Iterator[int]:
        """Numbers of its own types that are called so, in no order."""
        names = self._name_bytes
        for offset in self._offsets(name):
            yield from (self.first_id + n for n in _find_words(names, _word(offset)))

    def _enums_with(self, name: str) -> Iterator[int]:
        """Numbers of its own ENUM and ENUM64 types in which a word refers to that name."""
        for offset in self._offsets(name):
            needle = _word(offset)
            for number, start, end in self._enum_rows:
                if needle in self._types[start:end].tobytes():
                    yield number

    def _offsets(self, name: str) -> Iterator[int]:
        """Where that name is in its own strings and the base's.

        Every writer of BTF has each string once, and lets none be the tail of another.
        """
        if self.base is not None:
            yield from self.base._offsets(name)
        if not name or "\0" in name:
            return
        needle = name.encode("utf-8", "replace") + b"\0"
        if self.base is not None and self._strings.at(0) == needle[:-1]:
            yield self._first_name
            return
        at = self._strings.find(b"\0" + needle)
        if at >= 0:
            yield self._first_name + at + 1

    @cached_property
    def _name_bytes(self) -> bytes:
        return self._index.names.tobytes()

    @cached_property
    def _enum_rows(self) -> list[tuple[int, int, int]]:
        """Number of each enumeration, and the bytes that hold its enumerators."""
        positions, words = self._index.positions, self._words
        rows = []
        for index, position in enumerate(positions):
            if kind_of(words[position + 1]) in ENUMS:
                end = positions[index + 1] if index + 1 < len(positions) else len(words)
                rows.append((self.first_id + index, 4 * (position + TYPE_WORDS), 4 * end))
        return rows


def _word(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def _find_words(data: bytes, word: bytes) -> Iterator[int]:
    """Index of each 32-bit word of `data` that equals `word`."""
    at = data.find(word)
    while at >= 0:
        if at % 4 == 0:
            yield at // 4
        at = data.find(word, at + 1)
