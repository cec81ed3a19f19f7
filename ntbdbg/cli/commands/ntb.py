# SPDX-License-Identifier: MIT
"""ntbdbg ntb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ntbdbg.cli.linkpage import open_page, page_option
from ntbdbg.cli.options import lab_command, target_argument
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import NtbError

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.ntb.sharedpage import SharedPage

EXAMPLES = [
    ("ntbdbg ntb", "every guest of the lab: its driver beside its device"),
    ("ntbdbg ntb qemu1", "one of them"),
    ("ntbdbg ntb --freeze --json", "the same for a program, while the lab stands still"),
]


@lab_command("ntb", examples=EXAMPLES, freezes=True)
@target_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="Also windows that nobody translated.")
@page_option
def command(app: AppContext, target: str | None, everything: bool, page: str | None) -> ExitStatus:
    """Show the NTB as the driver in the guest sees it, beside what the device says.

    The driver's state (struct idt_ntb_dev, and pp_ctx, tool_ctx or perf_ctx of the client
    bound to it) is read from the guest's RAM, the device's from the link's shared page. Each
    disagreement is named, and makes the exit code 1. What differs in one look of three only
    was a moment between two reads.
    """
    from ntbdbg.analysis.examine import examine_ntb
    from ntbdbg.analysis.ntbview import view_ntb
    from ntbdbg.analysis.verdict import LINK
    from ntbdbg.render.ntb import NtbPanel, ntb_facts
    from ntbdbg.render.verdicts import VerdictLines, verdict_facts

    guests = [app.guest(name) for name in ([target] if target else app.lab.names)]
    source, problem = _page(app, page, target)
    with app.stillness():
        views = view_ntb(guests, source)
        found = examine_ntb(app.lab, guests, views, problem)
    if target and views.guests[0].problem is not None:
        raise views.guests[0].problem
    if not app.json:
        app.console().print(VerdictLines(found))
        app.write("")
    for view in views.guests:
        if app.json:
            told = [one for one in found if one.who in (view.guest, LINK)]
            app.emit("ntb", {**ntb_facts(view), "verdicts": verdict_facts(told)})
            continue
        if view.driver is None:
            app.note(f"{view.problem}")
            continue
        app.console().print(NtbPanel(view, view.driver, views.link, everything=everything))
        for note in view.driver.notes:
            app.note(f"{view.guest}: {note}")
    differ = any(view.disagreements for view in views.guests)
    return ExitStatus.DIFFERENT if differ else ExitStatus.OK


def _page(app: AppContext, path: str | None, target: str | None) -> tuple[SharedPage | None, str]:
    """The page, or None and why there is none."""
    try:
        return open_page(app, path, target)[0], ""
    except NtbError as error:
        app.note(f"{error.message}; only the drivers' side is shown")
        return None, error.message
