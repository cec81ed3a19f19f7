# SPDX-License-Identifier: MIT
"""What one command may spend on a guest's word.

Counts, lengths and pointers come from the guest. Each walk bounds its own, but bounds multiply
where walks lie within walks, so all of them draw from one budget. No sound guest comes near
its end; a damaged one gets a partial answer, or a clear error.
"""

from __future__ import annotations

from ntbdbg.errors import KernelError

ITEMS, MOST_ITEMS = 1 << 21, 1 << 22
"""Things found and kept: tasks, symbols, nodes of lists; at least, and for much RAM at most."""

BYTES, MOST_BYTES = 192 << 20, 768 << 20
"""Copied from the guest and kept: types, names, text of the log."""

STEPS, MOST_STEPS = 1 << 20, 1 << 24
"""Reads of the guest's memory by virtual address, and what takes as long: some microseconds."""

BYTES_OF_A_STEP = 1 << 14
"""Copied in one read; a longer one is so many steps more."""

RAM_OF_AN_ITEM = 1 << 10
"""Bytes of RAM that earn one more item and step."""


class SpentError(KernelError):
    """A budget does not reach for what the guest asks for."""

    def __init__(self, what: str) -> None:
        hint = "its structures are damaged or lead in circles; ask for less at once"
        super().__init__(f"{what}, more than a sound guest needs", hint=hint)


class Budget:
    """What is left to spend; once something lacks, every further draw on it fails as well.

    :ivar items: things that may still be found
    :ivar bytes: that may still be kept
    :ivar steps: reads that may still be done
    :ivar spent: what ran out first, as a clause; None while nothing has
    """

    __slots__ = ("_whole", "bytes", "items", "spent", "steps")

    def __init__(self, items: int = ITEMS, bytes: int = BYTES, steps: int = STEPS) -> None:  # noqa: A002
        self._whole = items, bytes, steps
        self.renew()

    @classmethod
    def for_ram(cls, size: int) -> Budget:
        """What suits a guest of `size` bytes of RAM."""
        made = cls()
        made.widen(size)
        return made

    def renew(self) -> None:
        """Begin anew, as a command that goes on for ever does each time it looks."""
        self.items, self.bytes, self.steps = self._whole
        self.spent: str | None = None

    def widen(self, ram: int) -> None:
        """Be at least what suits a guest of `ram` bytes; what is spent stays spent."""
        more = (
            min(ram // RAM_OF_AN_ITEM, MOST_ITEMS),
            min(ram, MOST_BYTES),
            min(ram // RAM_OF_AN_ITEM, MOST_STEPS),
        )
        before = self._whole
        self._whole = tuple(map(max, before, more))  # type: ignore[assignment]
        grown = [new - old for new, old in zip(self._whole, before, strict=True)]
        self.items, self.bytes, self.steps = (
            left + new
            for left, new in zip((self.items, self.bytes, self.steps), grown, strict=True)
        )

    def step(self, count: int = 1) -> None:
        """One more read, or work that takes as long as `count`; SpentError if that is too much."""
        self.steps -= count
        if self.steps < 0:
            raise self._lacks(f"it asks for more than {self._whole[2]:,} looks at its memory")

    def take(self, items: int = 0, bytes: int = 0) -> None:  # noqa: A002
        """Something was found, or is about to be kept; raises SpentError if that is too much."""
        if items:
            self.items -= items
            if self.items < 0:
                raise self._lacks(f"{self._whole[0]:,} things were found in it")
        if bytes:
            self.bytes -= bytes
            if self.bytes < 0:
                raise self._lacks(f"{self._whole[1] >> 20:,} MiB of its data were asked for")

    def _lacks(self, what: str) -> SpentError:
        error = SpentError(what)
        self.spent = self.spent or error.message
        return error
