# SPDX-License-Identifier: MIT
"""What a port's windows reach, byte by byte, said a second time and in another way.

The model is told what a test writes into registers, and answers where each byte of a BAR
leads. It knows nothing of pieces, pages and aliases, which is what makes it worth asking.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GRANULE = 1024
PAGE = 4096
SLOTS = {"direct": (1, 1), "lut12": (12, 16), "lut24": (24, 32), "off": (0, 1)}
"""Windows of a BAR, and into how many slots it is divided."""


@dataclass(frozen=True)
class Segment:
    """RAM of a guest: [gpa, gpa + size) is at `offset` of its file."""

    gpa: int
    size: int
    offset: int


@dataclass
class Target:
    """Another guest: whether it lets anybody in, and its RAM."""

    segments: tuple[Segment, ...]
    admits: bool = True

    def file_offset(self, gpa: int) -> int | None:
        for segment in self.segments:
            if segment.gpa <= gpa < segment.gpa + segment.size:
                return segment.offset + gpa - segment.gpa
        return None


@dataclass
class Translation:
    """Of a direct window (`limit`) or of a lookup-table entry (`valid`)."""

    part: int = 0
    address: int = 0
    limit: int = 0
    valid: bool = False
    when: int = 0  # the later it was programmed, the higher


@dataclass
class BarModel:
    """One BAR with windows, at `base`."""

    number: int
    mode: str
    size: int
    base: int
    translations: list[Translation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.translations = [Translation() for _ in range(SLOTS[self.mode][0])]

    @property
    def aperture(self) -> int:
        return self.size // SLOTS[self.mode][1]

    def extent(self, index: int) -> int:
        """How many bytes of a window are translated at all."""
        translation = self.translations[index]
        if self.mode != "direct":
            used = self.aperture if translation.valid else 0
        else:
            end = -(-translation.limit // GRANULE) * GRANULE
            used = max(0, min(end - self.base, self.aperture))
        return min(used, 2**64 - translation.address)


@dataclass
class PortModel:
    """A port that sends."""

    part: int
    bars: list[BarModel]
    targets: dict[int, Target]
    sends: bool = True
    mirrors: bool = False

    def byte(self, bar: BarModel, offset: int) -> tuple[int, int] | None:
        """The partition and the offset in its RAM file that a byte of a BAR leads to."""
        index, rest = divmod(offset, bar.aperture)
        if index >= len(bar.translations):
            return None
        translation, extent = self.in_effect(bar, index)
        if rest >= extent:
            return None
        target = self._open_target(translation)
        if target is None:
            return None
        at = target.file_offset(translation.address + rest)
        return None if at is None else (translation.part, at)

    def in_effect(self, bar: BarModel, index: int) -> tuple[Translation, int]:
        """A window's translation, or the one that it borrows, and how far it reaches."""
        own = bar.translations[index], bar.extent(index)
        if own[1] or not self.mirrors:
            return own
        others = [
            (other.translations[i], other.extent(i))
            for other in self.bars
            if other.aperture == bar.aperture
            for i in range(len(other.translations))
            if other.extent(i)
        ]
        return max(others, key=lambda found: found[0].when, default=own)

    def _open_target(self, translation: Translation) -> Target | None:
        target = self.targets.get(translation.part)
        return target if self.sends and target is not None and target.admits else None

    def masks(self) -> tuple[int, int]:
        """`mw_open` and `mw_trapped` as the shared page must show them."""
        opened = trapped = index = 0
        for bar in self.bars:
            for entry in range(len(bar.translations)):
                pieces = self._pieces(bar, entry)
                opened |= bool(pieces) << index
                trapped |= any((a | b | n) % PAGE for a, b, n in pieces) << index
                index += 1
        return opened, trapped

    def _pieces(self, bar: BarModel, entry: int) -> list[tuple[int, int, int]]:
        """Offset in the BAR, offset in the file, and size of what a window reaches."""
        translation, extent = self.in_effect(bar, entry)
        target = self._open_target(translation)
        first, end = translation.address, translation.address + extent
        found = []
        for segment in target.segments if target else ():
            low, high = max(first, segment.gpa), min(end, segment.gpa + segment.size)
            if low < high:
                here = entry * bar.aperture + low - first
                found.append((here, segment.offset + low - segment.gpa, high - low))
        return found
