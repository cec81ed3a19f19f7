# SPDX-License-Identifier: MIT
"""Lists of a guest's kernel in which nothing is: none there, or none that could be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntbdbg.errors import FaultError

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.kernel.modules.listing import Listing
    from ntbdbg.lab.guest import Guest


def expect_rows(
    app: AppContext, guest: Guest, found: Listing[Any], head: str, what: str, *, least: int = 0
) -> None:
    """Say that a list is empty, where it is.

    :param head: the symbol at which it begins
    :param what: of what it is, in the singular
    :param least: how many every kernel has
    :raises FaultError: what there is could not be read, so nobody knows that it is empty
    """
    if found:
        return
    if found.partial is None and not least:
        app.note(f"{guest.name} has no {what}")
        return
    raise FaultError(
        guest.name,
        guest.kernel.symbol(head).address,
        1,
        f"leads to no {what} that can be read: {found.partial or 'the list is empty'}",
        hint="'ntbdbg info' tells how sound the guest's kernel is",
    )
