# SPDX-License-Identifier: MIT
"""ntbdbg diff."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from ntbdbg.cli.annotate import PairLabels, annotate_option
from ntbdbg.cli.operands import Comparison, compare_operands
from ntbdbg.cli.options import complete_guest, lab_command
from ntbdbg.cli.params import LENGTH, NUMBER
from ntbdbg.cli.status import ExitStatus
from ntbdbg.errors import FaultError, UsageError
from ntbdbg.inspect.diff import DiffSummary, bytes_compared, differing_pages
from ntbdbg.memory.segments import AddressRange
from ntbdbg.render.diff import (
    DiffLayout,
    heading,
    page_lines,
    run_facts,
    summary_facts,
    summary_line,
)
from ntbdbg.render.progress import Progress
from ntbdbg.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntbdbg.cli.context import AppContext
    from ntbdbg.inspect.diff import PageDiff

PIPE_WIDTH = 200

EXAMPLES = [
    ("ntbdbg diff qemu1 qemu2 0x1000 4K", "the same addresses of two guests"),
    ("ntbdbg diff qemu1:0x1000 qemu2:0x2000 --length 64", "different addresses"),
    ("ntbdbg diff qemu1 ./before.ram --summary", "a guest and an older copy of its RAM file"),
    ("ntbdbg diff before.ram qemu1 --annotate", "with symbols, owners of pages, windows"),
    ("ntbdbg diff qemu1 qemu2 init_uts_ns", "a kernel symbol, where each of them has it"),
    ("ntbdbg diff qemu1:0x1000 ./bytes.bin", "a place and a file of plain bytes"),
    ("ntbdbg diff --window qemu1:mw0", "what each side sends the other through window 0"),
    ("ntbdbg diff --window qemu1:mw0 0x2000000", "what arrived, against its source in qemu1"),
]


@lab_command("diff", examples=EXAMPLES, freezes=True)
@click.argument("a", shell_complete=complete_guest)
@click.argument("b", required=False, shell_complete=complete_guest)
@click.argument("address", metavar="[ADDR]", required=False)
@click.argument("length", metavar="[LEN]", required=False)
@click.option("-l", "--length", "length_too", type=LENGTH, metavar="N", help="Same as LEN.")
@click.option("--window", is_flag=True, help="A (and B, if it is one) are windows: qemu1:mw0.")
@click.option(
    "--limit",
    type=NUMBER,
    default="1000",
    show_default=True,
    metavar="N",
    help="Stop listing after N lines (JSON: runs), not counting; 0: list all.",
)
@annotate_option
@click.option("-s", "--summary", "only_summary", is_flag=True, help="Only how much differs.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing, stop at the first difference.")
def command(
    app: AppContext,
    a: str,
    b: str | None,
    address: str | None,
    length: str | None,
    length_too: int | None,
    window: bool,
    limit: int,
    annotate: bool | None,
    only_summary: bool,
    quiet: bool,
) -> ExitStatus:
    """Compare A with B: exit 0 if they are the same, 1 if not, 4 if nobody can say.

    A and B are guests, places in them (qemu1:0x1000, qemu1:mw0+64), or files (./FILE,
    FILE:OFFSET). Whole guests are compared at all addresses that both have; ADDR and LEN
    pick a range of both. A file against a guest counts as a copy of its RAM; against a
    place, or with a size of exactly LEN, as plain bytes.

    With --window, A is a window; what it reaches in the peer is compared with B: another
    window, an address (of A's own guest, or GUEST:ADDR), or a file. Without B it is the
    peer's window of the same index, so: what each side sends the other.
    """
    with app.stillness(), Progress("diff", app.is_terminal) as progress:
        # the way to a place may lead through pointers, page tables and windows
        compared = _operands(app, a, b, address, length, length_too, window)
        summary = DiffSummary(compared=sum(span.size for span in compared.spans))
        pages = _counted(
            differing_pages(compared.a.memory, compared.b.memory, compared.spans, progress),
            summary,
        )
        if quiet:
            return _quietly(app, compared, summary, pages)
        labels = PairLabels(app, compared, annotate)
        listed = 0 if only_summary else _list(app, compared, labels, pages, limit, progress)
        for _ in pages:
            pass
    _measure(app, compared, summary)
    _conclude(app, compared, summary, listed, only_summary)
    return _STATUS[summary.identical]


_TOTALS = ("compared", "unread", "different", "pages", "last")
_STATUS = {True: ExitStatus.OK, False: ExitStatus.DIFFERENT, None: ExitStatus.FAULT}


def _quietly(
    app: AppContext, compared: Comparison, summary: DiffSummary, pages: Iterator[PageDiff]
) -> ExitStatus:
    """Only whether there is a difference; what comes behind it is not looked at."""
    differs = next(pages, None) is not None
    if not differs:
        _measure(app, compared, summary)
    if app.json:
        a, b = compared.a.name, compared.b.name
        unknown = (
            dict.fromkeys(("compared", "unread", "different", "pages", "last")) if differs else {}
        )
        app.emit("diff", summary_facts(summary, a, b, 0) | unknown)
    return ExitStatus.DIFFERENT if differs else _STATUS[summary.identical]


def _operands(
    app: AppContext,
    a: str,
    b: str | None,
    address: str | None,
    length: str | None,
    length_too: int | None,
    window: bool,
) -> Comparison:
    if length and length_too:
        raise UsageError("the length is given twice", hint="leave out one of LEN and --length")
    size = parse_size(length) if length else length_too
    if window:
        from ntbdbg.cli.windowdiff import compare_windows

        if address or size:
            raise UsageError("--window takes no ADDR and LEN", hint="a window has its own size")
        return compare_windows(app, a, b)
    if b is None:
        raise UsageError(f"compare {a} with what?", hint="name a second guest or file")
    return compare_operands(app, a, b, address, size)


def _counted(pages: Iterator[PageDiff], summary: DiffSummary) -> Iterator[PageDiff]:
    for page in pages:
        summary.add(page)
        yield page


def _list(
    app: AppContext,
    compared: Comparison,
    labels: PairLabels,
    pages: Iterator[PageDiff],
    limit: int,
    progress: Progress,
) -> int:
    """Print `limit` lines (JSON: runs) at most; gives their number."""
    width = _terminal_width() if app.is_terminal else PIPE_WIDTH
    end = max((max(span.a, span.b) + span.size for span in compared.spans), default=0)
    layout = DiffLayout.fitting(
        width, color=app.color, end=end, labels=labels.wanted and app.is_terminal
    )
    listed = 0
    while not limit or listed < limit:
        page = next(pages, None)
        if page is None:
            break
        progress.clear()
        left = limit - listed if limit else None
        if app.json:
            listed += _emit_runs(app, labels, page, left)
            continue
        if not listed:
            app.write(heading(compared.a.name, compared.b.name, layout))
        lines = page_lines(page, layout, labels.line if labels.wanted else None)[:left]
        listed += len(lines)
        app.write("\n".join(lines))
    return listed


def _terminal_width() -> int:
    import shutil  # takes its time, for compression formats that nobody wants here

    return shutil.get_terminal_size((PIPE_WIDTH, 0)).columns


def _emit_runs(app: AppContext, labels: PairLabels, page: PageDiff, most: int | None) -> int:
    number = 0
    for run in islice(page.runs(), most):
        app.emit("diff-run", run_facts(run) | labels.facts(run.a, run.b, len(run.old)))
        number += 1
    return number


def _measure(app: AppContext, compared: Comparison, summary: DiffSummary) -> None:
    """Say what was passed over, and take into the summary how much was not.

    :raises FaultError: nothing could be compared, so nobody can say that it is identical
    """
    _note_left_out(app, compared)
    size = bytes_compared(compared.a.memory, compared.b.memory, compared.spans)
    if compared.spans and not size:
        first = compared.spans[0]
        raise FaultError(
            compared.a.name,
            first.a,
            first.size,
            f"cannot be compared with {first.b:#x} of {compared.b.name}, nor can anything else: "
            "one side or the other cannot be read",
            hint="'ntbdbg dump' of either says why",
        )
    summary.compared, summary.unread = size, compared.wanted - size


def _note_left_out(app: AppContext, compared: Comparison) -> None:
    """Of whole memories all that cannot be read, of places what lies there."""
    for side in (compared.a, compared.b):
        ranges: list[AddressRange] = []
        if side.spot is not None:
            starts = (span.a if side is compared.a else span.b for span in compared.spans)
            sizes = (span.size for span in compared.spans)
            ranges = [AddressRange(at, at + size) for at, size in zip(starts, sizes, strict=True)]
        app.note_left_out(side.name, side.memory, *ranges)


def _conclude(
    app: AppContext, compared: Comparison, summary: DiffSummary, listed: int, only_summary: bool
) -> None:
    a, b = compared.a.name, compared.b.name
    if app.json:
        app.emit("diff", summary_facts(summary, a, b, listed))
        return
    line = summary_line(summary, a, b)
    if only_summary:
        app.write(line)
    else:
        app.note(line)
