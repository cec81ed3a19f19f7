# SPDX-License-Identifier: MIT
"""The flight recorders of all ports as one story in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbError
from ntbdbg.ntb.recorder import LANES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ntbdbg.ntb.recorder import Event, PortRecord
    from ntbdbg.ntb.sharedpage import SharedPage


@dataclass(frozen=True)
class Story:
    """What all ports have written down.

    :ivar records: by partition
    :ivar events: of all ports, in the order of their first times
    """

    records: tuple[PortRecord, ...]
    events: tuple[Event, ...]

    @property
    def model(self) -> int:
        """Of all ports: what their registers are."""
        return self.records[0].model

    def notes(self, names: Mapping[int, str]) -> Iterator[str]:
        """What is missing, for people.

        :param names: by partition, the guest
        """
        for record in self.records:
            name = names.get(record.partition, f"partition {record.partition}")
            yield from (f"{name}: {problem}" for problem in record.problems)
            lost = [
                f"{count} of the {lane} lane"
                for lane, count in zip(LANES, record.overwritten, strict=True)
                if count
            ]
            if lost:
                yield f"{name}: older events were overwritten: {', '.join(lost)}"
            if not any(record.written):
                yield f"{name}: its port has recorded nothing"

    def chosen(
        self,
        partitions: Collection[int] | None = None,
        kinds: Collection[int] | None = None,
        since_ns: int = 0,
    ) -> Iterator[Event]:
        """Events of these ports and kinds (None: of all) that went on after `since_ns`."""
        for event in self.events:
            if (
                (partitions is None or event.partition in partitions)
                and (kinds is None or event.kind in kinds)
                and event.last_ns >= since_ns
            ):
                yield event


def read_story(page: SharedPage) -> Story:
    """All that is recorded in a page.

    :raises NtbError: nothing is
    :raises TargetError: the page vanished, shrank or was replaced
    """
    records = page.records()
    if not any(any(record.written) for record in records):
        raise NtbError(
            f"{page.name}: no port has recorded anything",
            hint="recording needs ports with x-record=on, as it is by default",
        )
    events = [event for record in records for event in record.events]
    events.sort(key=lambda event: (event.first_ns, event.partition, event.lane, event.number))
    return Story(records, tuple(events))
