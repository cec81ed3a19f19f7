# SPDX-License-Identifier: MIT
"""In what the guests of a lab are unlike each other, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What of one guest is compared with the others.

    :ivar single: by what it is, a value; None where it is not known
    :ivar sets: by what one of them is (``module``), names; None where they are not known
    """

    name: str
    single: Mapping[str, object]
    sets: Mapping[str, frozenset[str] | None]


def differences(guests: Sequence[Traits]) -> Iterator[str]:
    """A sentence for each trait in which guests differ; what one does not know is left out."""
    if len(guests) < 2:
        return
    for what in guests[0].single:
        yield from _values(what, guests)
    for what in guests[0].sets:
        yield from _members(what, guests)


def _values(what: str, guests: Sequence[Traits]) -> Iterator[str]:
    found = [(guest.name, guest.single[what]) for guest in guests if guest.single[what] is not None]
    if len({value for _, value in found}) > 1:
        yield f"{what}: " + ", ".join(f"{_words(value)} in {name}" for name, value in found)


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(str(part) for part in value if part)
    return str(value) or "none"


def _members(what: str, guests: Sequence[Traits]) -> Iterator[str]:
    known = {g.name: names for g in guests if (names := g.sets[what]) is not None}
    for member in sorted(frozenset().union(*known.values())):
        having = [name for name, names in known.items() if member in names]
        lacking = [name for name in known if name not in having]
        if lacking:
            yield f"{what} {member}: in {', '.join(having)}, not in {', '.join(lacking)}"
