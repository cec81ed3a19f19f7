# SPDX-License-Identifier: MIT
"""Facts of a kernel that are found out once, even if they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, TypeVar

from ntbdbg.errors import KernelError


class Remembers(Protocol):
    """What knows which of its facts could not be found out; see `KernelImage`."""

    failures: dict[str, KernelError]

    def remember_failure(self, what: str, error: KernelError) -> None:
        """`what` need not be asked for again while this command goes on."""


K = TypeVar("K", bound=Remembers)
T = TypeVar("T")


def once(make: Callable[[K], T]) -> cached_property[T]:
    """As `cached_property`; within one command a KernelError is remembered as well.

    Tables that make no sense take as long as sound ones, and each walk asks for them again. In a
    session a user may ask again, as a guest that boots will have them then.
    """

    def ask(kernel: K) -> T:
        failed = kernel.failures.get(make.__name__)
        if failed is not None:
            raise failed.with_traceback(None)
        try:
            return make(kernel)
        except KernelError as error:
            kernel.remember_failure(make.__name__, error)
            raise

    ask.__doc__ = make.__doc__
    return cached_property(ask)
