# SPDX-License-Identifier: MIT
"""The NTB of guests from both sides: what their drivers know beside what their devices say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError
from ntbdbg.ntb.compare import compare_all
from ntbdbg.ntb.model import PortState

if TYPE_CHECKING:
    from ntbdbg.lab.guest import Guest
    from ntbdbg.ntb.disagreement import Disagreement
    from ntbdbg.ntb.driver import Driver
    from ntbdbg.ntb.model import Link
    from ntbdbg.ntb.sharedpage import SharedPage

LOOKS = 3
"""A running guest changes between the look at its RAM and that at the page: what is different
in each of these looks is a disagreement, what is not was a moment in between."""


@dataclass(frozen=True)
class NtbView:
    """One guest.

    :ivar driver: None if it cannot be read; `problem` says why
    :ivar partition: on the link, None if it is not known
    :ivar disagreements: None if there is nothing to compare with
    """

    guest: str
    driver: Driver | None
    problem: KernelError | FaultError | None
    partition: int | None
    disagreements: tuple[Disagreement, ...] | None


@dataclass(frozen=True)
class NtbViews:
    """All guests that were asked for, and the link at the same time (None without one)."""

    guests: tuple[NtbView, ...]
    link: Link | None


def view_ntb(guests: Sequence[Guest], page: SharedPage | None) -> NtbViews:
    """Look at the drivers of `guests`, and compare them with the page.

    :param page: None where no link is known
    """
    views = _look(guests, page)
    for _ in range(LOOKS - 1):
        if not any(view.disagreements for view in views.guests):
            break
        views = _settled(views, _look(guests, page))
    return views


def _look(guests: Sequence[Guest], page: SharedPage | None) -> NtbViews:
    from ntbdbg.ntb.driver import read_driver

    link = page.link() if page is not None else None
    drivers: dict[str, Driver] = {}
    problems: dict[str, KernelError | FaultError] = {}
    for guest in guests:
        try:
            drivers[guest.name] = read_driver(guest.kernel)
        except (KernelError, FaultError) as error:
            problems[guest.name] = error
    places = {guest.name: guest.partition for guest in guests} if link else {}
    comparable = {
        part: drivers[name]
        for name, part in places.items()
        if link is not None and name in drivers and _is_there(link, part)
    }
    found = compare_all(comparable, link) if link else {}
    views = (
        NtbView(
            guest=guest.name,
            driver=drivers.get(guest.name),
            problem=problems.get(guest.name),
            partition=(part := places.get(guest.name)),
            disagreements=tuple(found[part]) if part in found else None,
        )
        for guest in guests
    )
    return NtbViews(tuple(views), link)


def _is_there(link: Link, partition: int) -> bool:
    return partition < len(link.ports) and link.ports[partition].state is not PortState.FREE


def _settled(before: NtbViews, now: NtbViews) -> NtbViews:
    """The later look, without what only one of both has."""
    kept = []
    for old, new in zip(before.guests, now.guests, strict=True):
        both = [d for d in new.disagreements or () if d in (old.disagreements or ())]
        found = None if new.disagreements is None else tuple(both)
        kept.append(NtbView(new.guest, new.driver, new.problem, new.partition, found))
    return NtbViews(tuple(kept), now.link)
