# SPDX-License-Identifier: MIT
"""What a watcher reports, and the probes that find it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ntbdbg.inspect.diff import PageDiff
from ntbdbg.inspect.linkstate import FieldKey, FieldValue, link_fields
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.ntb.sharedpage import SharedPage


class ByteChange(NamedTuple):
    """Adjoining bytes of a guest's memory that changed.

    :ivar source: the guest
    :ivar address: guest-physical
    """

    source: str
    address: int
    old: bytes
    new: bytes


class FieldChange(NamedTuple):
    """A field of the link that changed.

    :ivar source: the guest whose port it is
    :ivar field: name as `link_fields` gives it
    :ivar old: None if the field was not there before
    :ivar new: None if it is gone
    """

    source: str
    field: str
    old: FieldValue | None
    new: FieldValue | None


Change = ByteChange | FieldChange


class Probe(Protocol):
    """Something that can be sampled and compared with an earlier sample."""

    def read(self) -> Any:
        """The state now; equal objects mean that nothing changed."""

    def changes(self, old: Any, new: Any) -> Iterator[Change]:
        """What differs between two results of `read`."""


class MemoryProbe:
    """A range of a guest's memory.

    :param size: bytes; all of the range is copied for each sample
    :param width: 1, 2, 4 or 8: changes are widened to whole units of this many bytes
    :raises FaultError: part of the range is not RAM
    """

    def __init__(
        self, source: str, memory: PhysicalMemory, address: int, size: int, *, width: int = 1
    ) -> None:
        memory.check(address, size)
        self.source = source
        self.address = address
        self.size = size
        self.width = width
        self._memory = memory

    def read(self) -> bytes:
        """Copy of the range; errors as `PhysicalMemory.read`."""
        return self._memory.read(self.address, self.size)

    def changes(self, old: bytes, new: bytes) -> Iterator[ByteChange]:
        """Changed bytes, in order of addresses."""
        for low, high in self._widened(old, new):
            yield ByteChange(self.source, self.address + low, old[low:high], new[low:high])

    def _widened(self, old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
        """Offsets of changed stretches, rounded out to units, joined where they touch."""
        pending: tuple[int, int] | None = None
        for low, high in _changed(old, new):
            skew = self.address % self.width
            low = max(0, low - (low + skew) % self.width)
            high = min(len(new), high + -(high + skew) % self.width)
            if pending and low <= pending[1]:
                pending = (pending[0], high)
                continue
            if pending:
                yield pending
            pending = (low, high)
        if pending:
            yield pending


def _changed(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    for at in range(0, len(old), PAGE):
        mine, theirs = old[at : at + PAGE], new[at : at + PAGE]
        if mine != theirs:
            for run in PageDiff(at, at, mine, theirs).runs():
                yield run.a, run.a + len(run.old)


class LinkProbe:
    """The NTB switch: doorbells, messages, masks, link state and translations of every port.

    :param page: its shared page
    :param names: by partition, the guest
    """

    def __init__(self, page: SharedPage, names: Mapping[int, str]) -> None:
        self._page = page
        self._names = names
        self._decoded: tuple[Any, Mapping[FieldKey, FieldValue]] | None = None

    def read(self) -> tuple[bytes, tuple[bool, ...]]:
        """The page and who lives; errors as `SharedPage.read`."""
        data = self._page.read()
        alive = self._page.alive(data)
        return data, tuple(alive.values()) if alive is not None else ()

    def changes(self, old: Any, new: Any) -> Iterator[FieldChange]:
        """Changed fields, port by port."""
        before, after = self.fields(old), self.fields(new)
        for key in [*before, *(k for k in after if k not in before)]:
            if before.get(key) != after.get(key):
                yield FieldChange(*key, before.get(key), after.get(key))

    def fields(self, state: Any) -> Mapping[FieldKey, FieldValue]:
        """All fields of one result of `read`."""
        from ntbdbg.ntb.decode import decode_page

        if self._decoded is None or self._decoded[0] is not state:
            data, alive = state
            link = decode_page(data, self._page.name, alive=dict(enumerate(alive)) or None)
            self._decoded = (state, link_fields(link, self._names))
        return self._decoded[1]
