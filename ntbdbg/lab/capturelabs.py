# SPDX-License-Identifier: MIT
"""Guests in captures that are named beside the lab: ``before.cap:qemu1``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.errors import UsageError
from ntbdbg.lab.address import CAPTURE_SUFFIX, split_capture

if TYPE_CHECKING:
    from ntbdbg.budget import Budget
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.lab import Lab

BudgetOf = Callable[[], "Budget | None"]


def no_budget() -> None:
    """Each walk has a budget of its own."""


class CaptureLabs:
    """Captures by path, opened when they are first named.

    :param notify: called with each note of theirs
    :param budget: as of `Lab`, and so `which_kernel`
    """

    def __init__(
        self,
        notify: Callable[[str], None] | None = None,
        budget: BudgetOf = no_budget,
        which_kernel: int | None = None,
    ) -> None:
        self._notify, self._budget, self._which_kernel = notify, budget, which_kernel
        self._labs: dict[str, Lab] = {}

    def guest(self, name: str) -> Guest | None:
        """The guest that ``CAP:GUEST`` names, or the only one of ``CAP``; None for other names.

        :raises TargetError, FormatError: the capture cannot be opened, or has no such guest
        :raises UsageError: it has several guests and none is named
        """
        path, rest = split_capture(name)
        if path is not None:
            return self.lab(path).guest(rest)
        if not is_bare_capture(name):
            return None
        lab = self.lab(name)
        if len(lab.names) > 1:
            raise UsageError(
                f"{name} holds {' and '.join(lab.names)}",
                hint=f"say which one: {name}:{lab.names[0]}",
            )
        return lab.guest(lab.names[0])

    def lab(self, path: str) -> Lab:
        """The capture at `path`."""
        if path not in self._labs:
            from ntbdbg.lab.lab import Lab
            from ntbdbg.lab.where import captured

            found = captured(path, f"capture {path}")
            self._labs[path] = Lab(
                found,
                notify=self._notify,
                prefix=f"{path}:",
                budget=self._budget,
                which_kernel=self._which_kernel,
            )
        return self._labs[path]

    def close(self) -> None:
        """Close all of them."""
        for lab in self._labs.values():
            lab.close()
        self._labs.clear()


def is_bare_capture(word: str) -> bool:
    """Whether `word` is the path of a capture, without a guest behind it."""
    return word.endswith(CAPTURE_SUFFIX) and os.path.exists(word)


def in_capture(word: str) -> bool:
    """Whether `word` names a capture, with or without a guest (and an address) behind it."""
    return split_capture(word)[0] is not None or is_bare_capture(word)


def split_operand(word: str) -> tuple[str, str | None]:
    """Guest and address, None without one, of ``[CAP:]GUEST[:ADDR]``."""
    capture, rest = split_capture(word)
    name, colon, address = rest.partition(":")
    return name if capture is None else f"{capture}:{name}", address if colon else None
