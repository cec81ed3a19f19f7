# SPDX-License-Identifier: MIT
"""ntbdbg guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.cli.options import lab_command
from ntbdbg.lab.sources.hostguests import host_guests
from ntbdbg.lab.sources.known import known_guests

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext

EXAMPLES = [
    ("ntbdbg guests", "whatever QEMU runs here, and where each guest's RAM lies"),
    ("ntbdbg guests --json", "the same for a program"),
]


@lab_command("guests", examples=EXAMPLES)
def command(app: AppContext) -> None:
    """Show the guests that QEMU runs on this host, whoever started them.

    Only /proc is read: nothing is connected to, and no guest notices. A monitor in use answers
    nobody else. Where ACCESS is root, only root may read the guest's memory; what is told of it
    is its command line.
    """
    from ntbdbg.render.hostguests import HostGuestTable, host_guest_facts

    found = host_guests(known_guests())
    if app.json:
        app.emit("guests", {"guests": [host_guest_facts(one) for one in found]})
    elif found:
        app.console().print(HostGuestTable(found))
    else:
        app.note("no QEMU runs here, as far as this user may look")
