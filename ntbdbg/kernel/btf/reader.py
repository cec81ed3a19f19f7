# SPDX-License-Identifier: MIT
"""Reader of BTF, the type information that a kernel carries in its own memory.

Numbers of types are global: those of a module's split BTF follow those of its base, and
number 0 is ``void``. Everything is read when asked for; only the index is made at once.
All bytes are taken for hostile: whatever they hold, a method returns or raises KernelError.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ntbdbg.kernel.btf.format import (
    COMPOUND,
    INT_BOOL,
    INT_CHAR,
    INT_SIGNED,
    NO_TARGET,
    QUALIFIERS,
    SIZED,
    TYPE_WORDS,
    Kind,
    kind_of,
    length_of,
)
from ntbdbg.kernel.btf.records import (
    Array,
    Entry,
    Enumerator,
    Integer,
    Member,
    Parameter,
    SectionVariable,
)
from ntbdbg.kernel.btf.table import ENUMS, TypeTable

__all__ = ["Btf", "Kind"]

MAX_DEPTH = 64
"""Typedefs and qualifiers in a row; the kernel itself allows 32 (MAX_RESOLVE_DEPTH)."""

_VOID = Entry(Kind.VOID, "void", 0, False, 0)


class Btf(TypeTable):
    """The BTF of vmlinux, or of a module on that of vmlinux."""

    @classmethod
    def parse(cls, data: bytes, base: Btf | None = None, *, name: str = "vmlinux") -> Btf:
        """The BTF `data`, its header checked and its types found.

        :param base: BTF of vmlinux, if `data` is a module's
        :raises KernelError: no BTF; unknown types at its end only make it `partial`
        """
        return cls(data, base, name, None)

    @classmethod
    def with_index(
        cls, data: bytes, index: bytes, base: Btf | None = None, *, name: str = "vmlinux"
    ) -> Btf:
        """As `parse`, with what `index_bytes` gave for the same `data`, in a tenth of the time.

        :raises KernelError: also if `index` is damaged or of another BTF
        """
        return cls(data, base, name, index)

    def index_bytes(self) -> bytes:
        """The index, to be kept for `with_index`; KernelError if this BTF is partial."""
        return self._index.to_bytes(self.data)

    def __repr__(self) -> str:
        return f"<Btf {self.name}: types {self.first_id} to {len(self) - 1}>"

    # -- one type --------------------------------------------------------------------------

    def entry(self, number: int) -> Entry:
        """Kind, name, and size or target of type `number`."""
        if number == 0:
            return _VOID
        name, information, value = self._take(number, TYPE_WORDS)
        length, flag = length_of(information), bool(information >> 31)
        return Entry(kind_of(information), self._string(name), length, flag, value)

    def kind(self, number: int) -> Kind:
        """What type `number` is."""
        return kind_of(self._take(number, 1, 1)[0]) if number else Kind.VOID

    def members(self, number: int) -> list[Member]:
        """Of a STRUCT or UNION."""
        entry = self._expect(number, COMPOUND)
        found = []
        for name, (kind, offset) in self._items(number, entry.length, 3):
            bits = (offset >> 24 or None) if entry.flag else None
            found.append(Member(name, kind, offset & 0xFFFFFF if entry.flag else offset, bits))
        return found

    def enumerators(self, number: int) -> list[Enumerator]:
        """Of an ENUM or ENUM64."""
        entry = self._expect(number, ENUMS)
        width = 3 if entry.kind is Kind.ENUM64 else 2
        found = []
        for name, halves in self._items(number, entry.length, width):
            value = halves[0] | (halves[1] << 32 if width == 3 else 0)
            is_negative = entry.flag and halves[-1] >> 31
            found.append(Enumerator(name, value - (1 << 32 * (width - 1) if is_negative else 0)))
        return found

    def parameters(self, number: int) -> list[Parameter]:
        """Of a FUNC_PROTO; `target` of its entry is what it returns."""
        entry = self._expect(number, (Kind.FUNC_PROTO,))
        items = self._items(number, entry.length, 2)
        return [Parameter(name, kind) for name, (kind,) in items]

    def variables(self, number: int) -> list[SectionVariable]:
        """Of a DATASEC, as ``.data..percpu``."""
        entry = self._expect(number, (Kind.DATASEC,))
        words = self._take(number, 3 * entry.length, TYPE_WORDS)
        return [SectionVariable(*words[i : i + 3]) for i in range(0, len(words), 3)]

    def integer(self, number: int) -> Integer:
        """Of an INT: its encoding."""
        self._expect(number, (Kind.INT,))
        word = self._take(number, 1, TYPE_WORDS)[0]
        has = [bool(word >> 24 & flag) for flag in (INT_SIGNED, INT_CHAR, INT_BOOL)]
        return Integer(word & 0xFF, word >> 16 & 0xFF, *has)

    def array(self, number: int) -> Array:
        """Of an ARRAY."""
        self._expect(number, (Kind.ARRAY,))
        return Array(*self._take(number, 3, TYPE_WORDS))

    def linkage(self, number: int) -> int:
        """Of a FUNC or VAR: 0 static, 1 global, 2 extern."""
        entry = self._expect(number, (Kind.FUNC, Kind.VAR))
        return entry.length if entry.kind is Kind.FUNC else self._take(number, 1, TYPE_WORDS)[0]

    def tagged(self, number: int) -> int | None:
        """Of a DECL_TAG: the member or parameter it speaks of, None for its whole target."""
        self._expect(number, (Kind.DECL_TAG,))
        index = self._take(number, 1, TYPE_WORDS)[0]
        return None if index == 0xFFFFFFFF else index

    def _expect(self, number: int, kinds: Collection[Kind]) -> Entry:
        entry = self.entry(number)
        if entry.kind not in kinds:
            wanted = " or ".join(sorted(kind.name for kind in kinds))
            raise self.error(number, f"is {self.kind_words(number)}, not a {wanted}")
        return entry

    def references(self, number: int) -> Sequence[int]:
        """Types that type `number` is made of: its target, members, parameters, and result."""
        if number == 0:
            return ()
        _, information, value = self._take(number, TYPE_WORDS)
        kind, length = kind_of(information), length_of(information)
        if kind in COMPOUND:
            return self._take(number, 3 * length, TYPE_WORDS)[1::3]
        if kind is Kind.FUNC_PROTO:
            return [value, *self._take(number, 2 * length, TYPE_WORDS)[1::2]]
        if kind is Kind.ARRAY:
            return self._take(number, 1, TYPE_WORDS)
        return () if kind in SIZED or kind in NO_TARGET else (value,)

    def is_named(self, number: int) -> bool:
        """Whether type `number` has a name, which is not looked at."""
        return number > 0 and bool(self._take(number, 1)[0])

    # -- chains of types -------------------------------------------------------------------

    def strip(self, number: int) -> int:
        """What `number` is without qualifiers and type tags."""
        return self._follow(number, QUALIFIERS)

    def resolve(self, number: int) -> int:
        """What `number` is without qualifiers, type tags and typedefs."""
        return self._follow(number, QUALIFIERS | {Kind.TYPEDEF})

    def _follow(self, number: int, kinds: Collection[Kind]) -> int:
        start = number
        for _ in range(MAX_DEPTH):
            if number == 0:
                return number
            # Not by `entry`, which decodes the name: this is what walks over types do most.
            _, information, value = self._take(number, TYPE_WORDS)
            if kind_of(information) not in kinds:
                return number
            number = value
        raise self.error(start, f"leads through more than {MAX_DEPTH} types, or in a circle")

    # -- names -----------------------------------------------------------------------------

    def by_name(self, kind: Kind, name: str) -> int | None:
        """The type of that kind and name; of several, that with the lowest number.

        A kernel has several where files that were compiled apart each define their own.
        """
        return next(iter(self.all_by_name(kind, name)), None)

    def all_by_name(self, kind: Kind, name: str) -> list[int]:
        """All types of that kind and name, the base's first."""
        found = [] if self.base is None else self.base.all_by_name(kind, name)
        return found + self.own_by_name(kind, name)

    def own_by_name(self, kind: Kind, name: str) -> list[int]:
        """As `all_by_name`, without the base's types."""
        return sorted(n for n in self._named(name) if self.kind(n) is kind)

    def enumerator(self, name: str) -> tuple[int, int] | None:
        """The enumerator `name`: number of its ENUM or ENUM64, and its value."""
        found = None if self.base is None else self.base.enumerator(name)
        if found is None:
            for number in self._enums_with(name):
                for item in self.enumerators(number):
                    if item.name == name:
                        return number, item.value
        return found

    def ids(self, *kinds: Kind) -> Iterator[int]:
        """Numbers of its own types, without the base's; of all kinds if none is named."""
        words, wanted = self._words, frozenset(kinds or Kind)
        for number, position in enumerate(self._index.positions, self.first_id):
            if kind_of(words[position + 1]) in wanted:
                yield number
