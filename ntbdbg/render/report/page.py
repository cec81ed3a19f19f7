# SPDX-License-Identifier: MIT
"""A postmortem as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from ntbdbg.analysis.verdict import Severity, Verdict, about, heads
from ntbdbg.inspect.pagemap import Usage
from ntbdbg.ntb.regview import register_values
from ntbdbg.render.hexdump import hexdump, offset_digits
from ntbdbg.render.hexlines import HexLayout
from ntbdbg.render.registers import describe
from ntbdbg.render.report.heat import CHANGED, USAGE_COLORS, Heat, change_heat, usage_heat
from ntbdbg.render.report.picture import draw
from ntbdbg.render.report.sequence import draw_sequence
from ntbdbg.render.text import printable
from ntbdbg.render.verdicts import headline
from ntbdbg.units import format_size

if TYPE_CHECKING:
    from ntbdbg.analysis.postmortem import GuestStory, LinkStory, Postmortem
    from ntbdbg.analysis.reported import Dump, GuestPages
    from ntbdbg.ntb.model import Link, MemoryWindow

SHOWN_WIDTH = 512
"""Pixels that a map of pages is wide at most, before the screen makes it narrower."""

TICK_HEIGHT = 26
"""Pixels from one address beside a map to the next at least; a narrow screen halves a map."""

MOST_TICKS = 8

MOST_ROWS = 80
"""Events in the diagram of what happened before."""

USAGE_WORDS = {
    Usage.ZERO: "zeros",
    Usage.SPARSE: "a quarter or less is not zero",
    Usage.DENSE: "full",
}


@dataclass(frozen=True)
class Table:
    """Rows of text that unfold."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def html_page(
    story: Postmortem, pages: Sequence[GuestPages], dumps: Sequence[Dump], *, version: str
) -> str:
    """The page.

    :param pages: one for each guest whose memory can be read
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.finalize = _finalize
    template = environment.from_string(_file("report.html"))
    return template.render(
        version=version,
        style=_trusted(_file("report.css")),
        script=_trusted(_file("report.js")),
        **_context(story, pages, dumps),
    )


def _file(name: str) -> str:
    return (resources.files("ntbdbg.render.report") / name).read_text(encoding="utf-8")


def _trusted(text: str) -> Any:
    import markupsafe

    return markupsafe.Markup(text)


def _finalize(value: object) -> object:
    """Guest text may hold control characters, which HTML does not allow; lines stay lines."""
    if type(value) is str:  # not Markup, which is ours
        return "\n".join(map(printable, value.split("\n")))
    return value


def _context(
    story: Postmortem, pages: Sequence[GuestPages], dumps: Sequence[Dump]
) -> dict[str, Any]:
    link, names = story.link.link, story.link.names
    title, lines = _title(story)
    by_name = {page.name: page for page in pages}
    order = [verdict.who for verdict in (*story.verdicts, *_unnamed(story))]
    guests = [
        _guest(guest, by_name.get(guest.name), about(story.verdicts, guest.name))
        for guest in sorted(story.guests, key=lambda guest: order.index(guest.name))
    ]
    return {
        "title": title,
        "verdicts": [_verdict(one, headline(story.verdicts, one)) for one in lines],
        "source": story.source,
        "facts": story.facts,
        "sections": list(_sections(story, pages, bool(dumps))),
        "guests": guests,
        "link": _link(story.link),
        "sequence": draw_sequence(
            story.link.last(MOST_ROWS),
            names,
            story.link.recorded.teller if story.link.recorded else None,
        ),
        "differences": story.differences,
        "picture": draw({page.name: page.runs for page in pages}, link, names) if pages else None,
        "windows": [_window(link, w, names) for w in _shown_windows(link)] if link else [],
        "heats": [_heats(page) for page in pages],
        "keys": list(_keys(pages)),
        "ports": [_port(link, partition, names) for partition in range(len(link.ports))]
        if link
        else [],
        "dumps": [_dump(dump) for dump in dumps],
        "notes": story.notes,
    }


def _unnamed(story: Postmortem) -> list[Verdict]:
    """For guests of which nothing is told: they come last."""
    return [Verdict(Severity.FINE, guest.name, "") for guest in story.guests]


def _title(story: Postmortem) -> tuple[str, list[Verdict]]:
    """The worst that is to be told, and the lines below it."""
    lines = heads(story.verdicts)
    if lines and lines[0].severity > Severity.NOTABLE:
        return f"{lines[0].who}: {headline(story.verdicts, lines[0])}", lines[1:]
    names = _join([guest.name for guest in story.guests]) or "this lab"
    return f"Nothing wrong was found in {names}", lines


def _join(words: Sequence[str]) -> str:
    return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + " and " + words[-1]


def _verdict(verdict: Verdict, text: str) -> dict[str, Any]:
    return {
        "who": verdict.who,
        "text": text,
        "level": "bad" if verdict.severity > Severity.WARNED else _LEVELS[verdict.severity],
        "details": verdict.details,
    }


_LEVELS = {
    Severity.FINE: "good",
    Severity.NOTABLE: "good",
    Severity.UNKNOWN: "warn",
    Severity.WARNED: "warn",
}


def _sections(
    story: Postmortem, pages: Sequence[GuestPages], dumps: bool
) -> Iterator[dict[str, str]]:
    """What there is, in the order of the page."""
    link = story.link.link
    there = [(_guest_id(guest.name), guest.name, True) for guest in story.guests]
    there += [
        ("link", "Link", True),
        ("story", "What happened before", bool(story.link.last_events)),
        ("differences", "Differences", bool(story.differences)),
        ("kernels", "Kernels", any(guest.facts for guest in story.guests)),
        ("spaces", "Address spaces", bool(pages)),
        ("memory", "Memory", bool(pages)),
        ("registers", "Link registers", link is not None and bool(link.ports)),
        ("dumps", "Bytes", dumps),
        ("notes", "Notes", bool(story.notes)),
    ]
    return ({"id": name, "title": title} for name, title, is_there in there if is_there)


def _guest_id(name: str) -> str:
    return "guest-" + "".join(c if c.isalnum() else "-" for c in name)


def _guest(guest: GuestStory, pages: GuestPages | None, told: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "verdicts": [
            _verdict(one, one.text)
            for index, one in enumerate(told)
            if not index or one.severity is not Severity.FINE
        ],
        "id": _guest_id(guest.name),
        "name": guest.name,
        "condition": guest.condition.value,
        "facts": guest.facts,
        "panic": guest.panic,
        "cpus": guest.cpus,
        "stuck": guest.stuck,
        "messages": guest.besides,
        "is_besides": guest.besides != guest.dmesg,
        "problems": guest.problems,
        "tables": [table for table in _tables(guest, pages) if table.rows],
    }


def _tables(guest: GuestStory, pages: GuestPages | None) -> Iterator[Table]:
    yield Table(
        "Tasks",
        ("PID", "PPID", "STATE", "CPU", "NAME"),
        tuple(
            (str(t.pid), str(t.ppid), t.state, str(t.cpu), t.name)
            for t in (pages.tasks if pages else ())
        ),
    )
    yield Table(
        "Modules",
        ("NAME", "SIZE", "AT"),
        tuple((m.name, str(m.size), f"{m.base:#x}") for m in guest.modules),
    )
    yield Table(
        "PCI devices",
        ("SLOT", "ID", "CLASS", "DRIVER"),
        tuple(
            (d.slot, f"{d.vendor:04x}:{d.device:04x}", f"{d.class_code:06x}", d.driver or "-")
            for d in (pages.devices if pages else ())
        ),
    )


def _dump(dump: Dump) -> dict[str, str]:
    layout = HexLayout(digits=offset_digits(dump.address + len(dump.data)))
    lines = b"".join(hexdump([(dump.address, dump.data)], layout, len(dump.data)))
    return {"title": dump.title, "note": dump.note, "text": lines.decode("ascii")}


def _link(story: LinkStory) -> dict[str, Any]:
    return {
        "problem": story.problem,
        "chip": story.level,
        "findings": [
            {
                "guest": story.names.get(f.partition, f"partition {f.partition}"),
                "text": f.text,
                "wrong": f.wrong,
            }
            for f in story.findings
        ],
        "disagreements": story.disagreements,
        "good_news": story.good_news,
        "unrecorded": story.unrecorded,
    }


def _shown_windows(link: Link) -> list[MemoryWindow]:
    """Those that somebody programmed; all untranslated ones look alike."""
    return [window for window in link.windows if window.is_open or window.size]


def _window(link: Link, window: MemoryWindow, names: Mapping[int, str]) -> dict[str, Any]:
    owner = names.get(window.partition, f"port{link.ports[window.partition].number}")
    return {
        "name": f"{owner}:mw{window.index}",
        "bar": f"{window.bar} {window.kind.value}",
        "base": "-" if window.base is None else f"{window.base:#x}",
        "size": format_size(window.size),
        "reaches": ", ".join(
            f"{_target(window, names)}:{piece.gpa:#x}-{piece.gpa + piece.size - 1:#x}"
            for piece in window.reached
        ),
        "open": window.is_open,
        "why": window.why_closed,
    }


def _target(window: MemoryWindow, names: Mapping[int, str]) -> str:
    target = window.translation.partition if window.translation else -1
    return names.get(target, f"partition {target}")


def _heats(page: GuestPages) -> dict[str, Any]:
    heats = []
    for index, usage in enumerate(page.usage):
        where = f"{usage.range}" if len(page.usage) > 1 else ""
        heats.append(_heat(usage_heat(usage), f"{page.name}: use of pages", f"in use {where}"))
        if page.changes is not None:
            heat = change_heat(page.changes[index])
            heats.append(_heat(heat, f"{page.name}: changed pages", f"changed {where}"))
    total = sum(run.size for run in page.runs)
    return {"guest": page.name, "label": f"{format_size(total)} of RAM", "heats": heats}


def _heat(heat: Heat, alt: str, caption: str) -> dict[str, Any]:
    scale = max(1, SHOWN_WIDTH // heat.width)
    return {
        **vars(heat),
        "alt": alt,
        "caption": f"{caption.strip()}; a dot is {format_size(heat.cell)}",
        "shown_width": heat.width * scale,
        "shown_height": heat.height * scale,
        "across": f"{heat.width * heat.cell:#x}",
        "ticks": list(_ticks(heat, heat.height * scale)),
    }


def _ticks(heat: Heat, height: int) -> Iterator[dict[str, Any]]:
    """Addresses beside rows, as far apart as their text is high."""
    step = -(-heat.height * TICK_HEIGHT // max(1, height))
    step = max(step, -(-heat.height // MOST_TICKS))
    for row in range(0, heat.height, step):
        yield {
            "label": f"{heat.start + row * heat.width * heat.cell:#x}",
            "percent": f"{100 * row / heat.height:.2f}",
        }


def _keys(pages: Sequence[GuestPages]) -> Iterator[dict[str, str]]:
    for usage, words in USAGE_WORDS.items():
        yield {"color": _css(USAGE_COLORS[usage]), "name": words}
    if any(page.changes is not None for page in pages):
        yield {"color": _css(CHANGED), "name": "changed"}


def _css(color: tuple[int, int, int, int]) -> str:
    return f"rgb({color[0]} {color[1]} {color[2]} / {color[3] / 255:.2f})"


def _port(link: Link, partition: int, names: Mapping[int, str]) -> dict[str, Any]:
    port = link.ports[partition]
    owner = names.get(partition, "no guest")
    return {
        "title": f"{owner}: port {port.number}, partition {partition}",
        "registers": [
            {
                "name": value.register.name,
                "value": f"0x{value.value:08x}",
                "meaning": str(describe(value)),
            }
            for value in register_values(port)
        ],
    }
