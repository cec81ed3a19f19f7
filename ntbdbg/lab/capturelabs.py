# SPDX-License-Identifier: MIT
"""Guests in captures that are named beside the lab: ``before.cap:qemu1``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ntbdbg.errors import UsageError
from ntbdbg.lab.address import CAPTURE_SUFFIX, split_capture

L = TypeVar("L", bound="CaptureLab")


class CaptureLab(Protocol):
    """What is needed of a capture that was opened as a lab."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def close(self) -> None: ...


class CaptureLabs(Generic[L]):
    """Captures by path, opened when they are first named.

    :param opener: opens the one at a path
    """

    def __init__(self, opener: Callable[[str], L]) -> None:
        self._opener = opener
        self._labs: dict[str, L] = {}

    def find(self, name: str) -> tuple[L, str] | None:
        """The capture of ``CAP:GUEST``, or of ``CAP`` with one guest, and the guest's name in it;
        None for other names.

        :raises TargetError, FormatError: the capture cannot be opened
        :raises UsageError: it has several guests and none is named
        """
        path, rest = split_capture(name)
        if path is not None:
            return self.lab(path), rest
        if not is_bare_capture(name):
            return None
        lab = self.lab(name)
        if len(lab.names) > 1:
            raise UsageError(
                f"{name} holds {' and '.join(lab.names)}",
                hint=f"say which one: {name}:{lab.names[0]}",
            )
        return lab, lab.names[0]

    def lab(self, path: str) -> L:
        """The capture at `path`."""
        if path not in self._labs:
            self._labs[path] = self._opener(path)
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
