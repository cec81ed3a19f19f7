# SPDX-License-Identifier: MIT
"""RAM that a guest's kernel uses and that is not in what is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError

if TYPE_CHECKING:
    from ntbdbg.lab.place import GuestLike

_MORE = ("maxmem=", "numa", "dimm", "virtio-mem", "cxl")
"""In a command line of QEMU whose guest may have RAM in more than one place."""


def ram_elsewhere(guest: GuestLike, *, if_likely: bool = False) -> list[str]:
    """What is to be said of it; empty if all is here, as far as anybody knows.

    :param if_likely: for whoever does not need the kernel otherwise: the kernel of a guest whose
        QEMU was told of one piece of RAM only is not looked for
    """
    from ntbdbg.kernel.tasks.ramlist import beyond_words

    if if_likely and not _may_have_more(guest):
        return []
    try:
        words = beyond_words(guest.kernel)
    except NtbdbgError:
        return []
    return [f"{guest.name}: {words}"] if words else []


def _may_have_more(guest: GuestLike) -> bool:
    argv = guest.record.argv if guest.record else ()
    return not argv or any(word in one for one in argv for word in _MORE)
