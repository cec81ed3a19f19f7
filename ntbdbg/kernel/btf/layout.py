# SPDX-License-Identifier: MIT
"""Structures of the guest taken apart by its own BTF, where drgn would be too trusting or slow.

One structure is copied whole, so its members belong to one moment, and no length in it leads
anywhere by itself. What the guest's types say of sizes and lengths is believed here and nowhere
else: nothing reaches beyond the structure that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ntbdbg.errors import KernelError
from ntbdbg.kernel.btf.format import COMPOUND
from ntbdbg.kernel.btf.reader import MAX_DEPTH, Btf, Kind
from ntbdbg.kernel.btf.table import NEWER
from ntbdbg.kernel.symbols.path import member_steps

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.records import Member
    from ntbdbg.memory.base import PhysicalMemory

NUMBER = 8
"""Bytes of the longest member that is taken for a number."""

LARGEST = 1 << 16
"""Bytes of a structure that is copied whole; ``struct task_struct`` has 10,000."""


class Place(NamedTuple):
    """Where a member is in a structure.

    :ivar offset: bytes from the structure's start
    :ivar size: bytes
    :ivar type: its number in BTF
    :ivar bit_offset: of a bit field, from the first bit at `offset` on
    :ivar bits: of a bit field, 0 if it is none
    """

    offset: int
    size: int
    type: int
    bit_offset: int = 0
    bits: int = 0

    def of(self, raw: bytes) -> bytes:
        """Its bytes in a copy of the structure."""
        return raw[self.offset : self.offset + self.size]


class Layout:
    """The members of a ``struct NAME``.

    :ivar size: bytes
    """

    def __init__(self, btf: Btf, number: int) -> None:
        self.btf = btf
        self.number = number
        self.size = btf.entry(number).size or 0
        if not 0 < self.size <= LARGEST:
            raise btf.error(number, f"is a structure of {self.size} bytes")
        self._known: dict[str, Place | None] = {}
        self._sound: dict[str, Place] = {}
        self._numbers: dict[str, Place] = {}

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._find(path) is not None

    def find(self, path: str) -> Place:
        """The member at ``core_layout.base`` or ``mem[2].size``.

        :raises KernelError: there is none, or it reaches beyond the structure
        """
        known = self._sound.get(path)
        if known is not None:
            return known
        place = self._named(path)
        end = place.offset + (place.bit_offset + place.bits + 7 >> 3 if place.bits else place.size)
        if end > self.size:
            raise self._error(f"is {self.size} bytes long, but its member {path} ends at {end}")
        self._sound[path] = place
        return place

    def find_number(self, path: str) -> Place:
        """As `find`; KernelError also if the member is too long to be a number, or empty."""
        known = self._numbers.get(path)
        if known is not None:
            return known
        place = self.find(path)
        if not 0 < place.size <= NUMBER:
            raise self._error(f"is odd: member {path} has {place.size} bytes, which is no number")
        self._numbers[path] = place
        return place

    def read_number(self, memory: PhysicalMemory, address: int, path: str) -> int:
        """A member of the structure at VA `address`, unsigned, and nothing else read of it.

        :raises FaultError: it is not there
        """
        place = self.find_number(path)
        return memory.word(address + place.offset, place.size)

    def length(self, path: str, most: int) -> int:
        """Elements of the array at `path`: as many as its structure holds, at most `most`."""
        place = self._named(path)
        array = self.btf.array(self.btf.resolve(place.type))
        size = size_of(self.btf, array.element)
        room = max(self.size - place.offset, 0) // size if size else most
        return min(array.length, room, most)

    def _named(self, path: str) -> Place:
        place = self._find(path)
        if place is None:
            raise self._error(
                f"has no member {path}",
                "kernels differ in it, and this one's form is not known yet",
            )
        return place

    def _error(
        self, why: str, hint: str = "its types are damaged, or of a form unknown yet"
    ) -> KernelError:
        name = self.btf.entry(self.number).name
        return KernelError(f"struct {name} of this kernel {why}", hint=hint)

    def parse(self, memory: PhysicalMemory, address: int) -> Record:
        """The structure at a VA; raises FaultError if it is not all there."""
        return Record(self, address, memory.read(address, self.size))

    def _find(self, path: str) -> Place | None:
        if path not in self._known:
            self._known[path] = self._resolve(path)
        return self._known[path]

    def _resolve(self, path: str) -> Place | None:
        offset, number, bit_offset, bits = 0, self.number, 0, 0
        for step in member_steps(path):
            number = self.btf.resolve(number)
            if isinstance(step, int):
                if self.btf.kind(number) is not Kind.ARRAY:
                    return None
                array = self.btf.array(number)
                if step >= array.length:
                    return None
                number = array.element
                offset += step * size_of(self.btf, number)
                continue
            found = next(self._members(number, step, 0), None)
            if found is None:
                return None
            start, member = found
            number, bits = member.type, member.bit_size or 0
            offset, bit_offset = offset + start // 8, start % 8
        return Place(offset, size_of(self.btf, number), number, bit_offset, bits)

    def _members(self, number: int, name: str, depth: int) -> Iterator[tuple[int, Member]]:
        """Offset in bits and the member `name`, also of anonymous structures within."""
        if depth > MAX_DEPTH or self.btf.kind(number) not in COMPOUND:
            return
        for member in self.btf.members(number):
            if member.name == name:
                yield member.bit_offset, member
            elif not member.name:
                inner = self._members(self.btf.resolve(member.type), name, depth + 1)
                yield from ((member.bit_offset + offset, found) for offset, found in inner)


class Layouts:
    """The structures of one BTF by name, each looked up once."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._known: dict[str, Layout] = {}

    def __getitem__(self, name: str) -> Layout:
        """``struct NAME``; raises KernelError if there is none."""
        if name not in self._known:
            number = self.btf.by_name(Kind.STRUCT, name)
            if number is None:
                raise absent(self.btf, f"struct {name}")
            self._known[name] = Layout(self.btf, number)
        return self._known[name]


def absent(btf: Btf, what: str) -> KernelError:
    """What to raise where the types lack one (``struct x``): why they do."""
    if btf.missing is not None:
        return KernelError(f"no {what} among the types: {btf.missing}", hint=NEWER)
    return KernelError(
        f"the types of this kernel have no {what}",
        hint="it was built without that subsystem, or the structure has another name",
    )


@dataclass(frozen=True)
class Record:
    """A copy of a structure.

    :ivar address: VA it was copied from
    """

    layout: Layout
    address: int
    raw: bytes

    def has(self, path: str) -> bool:
        """Whether this kernel's structure has such a member."""
        return path in self.layout

    def bytes(self, path: str) -> bytes:
        """Of a member."""
        return self.layout.find(path).of(self.raw)

    def number(self, path: str) -> int:
        """A member as an unsigned number: a pointer, a count, an enumeration, a bit field."""
        place = self.layout.find_number(path)
        if place.bits:
            word = int.from_bytes(self.raw[place.offset : place.offset + 9], "little")
            return word >> place.bit_offset & (1 << place.bits) - 1
        return int.from_bytes(place.of(self.raw), "little")

    def signed(self, path: str) -> int:
        """A member as a signed number."""
        return int.from_bytes(self.layout.find_number(path).of(self.raw), "little", signed=True)

    def text(self, path: str) -> str:
        """An array of characters, to its first NUL."""
        return self.bytes(path).partition(b"\0")[0].decode("utf-8", "backslashreplace")

    def at(self, path: str) -> int:
        """VA of a member."""
        return self.address + self.layout.find(path).offset


def size_of(btf: Btf, number: int) -> int:
    """Bytes of a type, 0 for one that has none."""
    elements = 1
    for _ in range(MAX_DEPTH):
        number = btf.resolve(number)
        entry = btf.entry(number)
        if entry.kind is Kind.PTR:
            return 8 * elements
        if entry.kind is not Kind.ARRAY:
            return (entry.size or 0) * elements
        array = btf.array(number)
        elements *= array.length
        number = array.element
    raise btf.error(number, "is an array of too many dimensions")
