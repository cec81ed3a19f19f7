# SPDX-License-Identifier: MIT
"""Walks over linked lists in a guest, which may be damaged, endless, or change meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ntbdbg.budget import Budget, SpentError
from ntbdbg.errors import FaultError

if TYPE_CHECKING:
    from ntbdbg.memory.base import PhysicalMemory

T = TypeVar("T")


class Listing(list[T]):
    """What was found by walking.

    :ivar partial: why more may exist than was found, as a clause; None if this is all
    """

    partial: str | None = None


def walk_list(
    memory: PhysicalMemory, head: int, limit: int, budget: Budget | None = None
) -> Listing[int]:
    """VAs of the nodes of the ``struct list_head`` at `head`, without it.

    :param memory: the guest's memory by VA
    :param limit: nodes after which the rest is not looked at
    :param budget: what each node draws from
    """
    nodes: Listing[int] = Listing()
    seen = {head}
    node = head
    budget = budget or Budget()
    while True:
        try:
            budget.take(items=1)
            node = memory.word(node)
        except FaultError as error:
            nodes.partial = f"the list is broken: {error.message}"
            return nodes
        except SpentError as error:
            nodes.partial = error.message
            return nodes
        if node == head:
            return nodes
        if node in seen:
            nodes.partial = f"the list goes in a circle at {node:#x}"
            return nodes
        if len(nodes) == limit:
            nodes.partial = f"only the first {limit} are looked at"
            return nodes
        seen.add(node)
        nodes.append(node)
