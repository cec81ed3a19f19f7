# SPDX-License-Identifier: MIT
"""The flight recorders of a lab or capture, with the guests' names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.ntb.kinds import Kind
from ntbdbg.ntb.story import read_story
from ntbdbg.ntb.told import Teller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntbdbg.lab.lab import Lab
    from ntbdbg.ntb.recorder import Event
    from ntbdbg.ntb.sharedpage import SharedPage
    from ntbdbg.ntb.story import Story

BY_CHANCE = frozenset({Kind.JOIN, Kind.ATTACH, Kind.PEER_THERE, Kind.QUIESCE, Kind.WOKEN})
"""Kinds whose numbers are never the same twice: pids, incarnations, durations."""


@dataclass(frozen=True)
class Recorded:
    """A story, and who is in it.

    :ivar names: by partition, the guest
    """

    story: Story
    names: Mapping[int, str]

    @property
    def teller(self) -> Teller:
        """Puts its events into words."""
        return Teller(self.names, self.story.model)

    def name(self, partition: int) -> str:
        """Who is on a partition."""
        return self.names.get(partition, f"partition {partition}")

    def likeness(self, event: Event) -> tuple[object, ...]:
        """What of an event is the same in another story, if the same has happened."""
        who = (self.name(event.partition), event.kind)
        if event.kind in BY_CHANCE:
            return who
        return (*who, event.peer, event.num, event.a, event.b)


def names_of(lab: Lab) -> dict[int, str]:
    """By partition, the guest."""
    records = lab.manifest.guests if lab.manifest else ()
    return {one.index: lab.prefix + one.name for one in records if one.port is not None}


def recorded(lab: Lab, page: SharedPage | None = None) -> Recorded:
    """What the ports of `lab` have recorded.

    :param page: the shared page instead of the lab's own
    :raises NtbError: the lab has no link, or nothing is recorded
    :raises TargetError: the shared page is gone
    """
    return Recorded(read_story(page or lab.page()), names_of(lab))
