# SPDX-License-Identifier: MIT
"""``--annotate``: what the bytes of a dump or a comparison are. Nothing is loaded without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ntbdbg.analysis.labels import Labels
    from ntbdbg.cli.context import AppContext
    from ntbdbg.cli.operands import Comparison
    from ntbdbg.lab.place import GuestLike
    from ntbdbg.memory.base import PhysicalMemory

annotate_option = click.option(
    "--annotate/--no-annotate",
    default=None,
    help="Say what lines hold: symbols, owners of pages, windows.  "
    "[default: for a symbol on a terminal]",
)


def labels_for(
    app: AppContext,
    annotate: bool | None,
    guest: GuestLike | None,
    memory: PhysicalMemory,
    *,
    by_default: bool,
) -> Labels | None:
    """Labels for `memory` of `guest`, None if they are not wanted or it is no guest's.

    :param annotate: what the option said, None if nothing
    :param by_default: whether a person at a terminal wants them unasked
    """
    wanted = by_default and app.is_terminal and not app.json if annotate is None else annotate
    if not wanted or guest is None:
        return None
    from ntbdbg.analysis.labels import Labels

    return Labels(guest, memory)


def line_labels(labels: Labels | None) -> Callable[[int, int], str] | None:
    """`(address, size)` → what to write behind a line."""
    if labels is None:
        return None
    from ntbdbg.render.labels import label_text

    return lambda address, size: label_text(list(labels.of(address, size)))


def range_labels(labels: Labels | None, address: int, size: int) -> list[dict[str, Any]] | None:
    """The labels of a range for JSON; None without labels."""
    if labels is None:
        return None
    from ntbdbg.render.labels import label_facts

    return label_facts(labels.of(address, size))


class PairLabels:
    """Labels for both sides of a comparison.

    :ivar wanted: whether there are any
    """

    def __init__(self, app: AppContext, compared: Comparison, annotate: bool | None) -> None:
        sides = (compared.a, compared.b)
        named = any(side.symbol for side in sides)
        self._a, self._b = (
            labels_for(app, annotate, side.guest, side.memory, by_default=named) for side in sides
        )
        self.wanted = bool(self._a or self._b)

    def line(self, a: int, b: int, size: int) -> str:
        """What to write behind a line: once if it is the same on both sides, else both."""
        told = [line_labels(labels) for labels in (self._a, self._b)]
        texts = [tell(at, size) for tell, at in zip(told, (a, b), strict=True) if tell]
        return " | ".join(dict.fromkeys(text for text in texts if text))

    def facts(self, a: int, b: int, size: int) -> dict[str, Any]:
        """``a_labels`` and ``b_labels`` of a run for JSON, where there are labels."""
        found = {
            "a_labels": range_labels(self._a, a, size),
            "b_labels": range_labels(self._b, b, size),
        }
        return {name: labels for name, labels in found.items() if labels is not None}
