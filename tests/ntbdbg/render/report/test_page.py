# SPDX-License-Identifier: MIT
"""The HTML page: complete, self-contained, and harmless whatever the guests hold."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ntbdbg.analysis.postmortem import Condition, GuestStory, LinkStory, Postmortem
from ntbdbg.analysis.verdict import Severity, Verdict
from ntbdbg.render.report.page import html_page
from tests.support import stories

VOID = {"meta", "input", "img"}


class Outline(HTMLParser):
    """Checks nesting; keeps ids, links, texts and what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.scripts = 0
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "data", "action"):
                self.loads.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"rect", "path", "circle"}, tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    assert not found.open
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return html_page(stories.story(), stories.pages(), stories.DUMPS, version="1.2.3")


def test_what_happened_before_is_a_picture() -> None:
    story = replace(stories.story(), link=stories.recorded_link())
    page = html_page(story, [], [], version="0")
    found = outline(page)
    assert {"story", "tip"} <= set(found.ids)
    assert "#story" in found.links
    assert "rings doorbells 0x1d at qemu2" in page
    assert page.count('<circle class="bad"') == 1
    assert page.count('<circle class=""') == 30


def test_it_is_well_formed_and_its_links_lead_somewhere(page: str) -> None:
    found = outline(page)
    assert len(found.ids) == len(set(found.ids))
    assert found.links
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_the_headline_is_the_verdict_and_its_title(page: str) -> None:
    verdict = "qemu1: panic at 131.2 s: sysrq triggered crash (+1 more)"
    assert f"<h1>{verdict}</h1>" in page
    assert f"<title>{verdict}</title>" in page
    assert page.count("sysrq triggered crash (+1 more)") == 2, "the headline is told once"


def test_a_lab_that_is_well_has_a_headline_too() -> None:
    well = replace(stories.story(), verdicts=(Verdict(Severity.FINE, "qemu1", "it runs"),))
    page = html_page(well, [], [], version="0")
    assert "<h1>Nothing wrong was found in qemu1 and qemu2</h1>" in page


ORDER = (
    "panic at 131.2 s",  # verdict
    "pp_ping+0x42 [ntb_pingpong]</li>",  # stack
    "needle in qemu2&#39;s log",
    'id="link"',
    "What differs between",
    'id="kernels"',
    'id="spaces"',
    'id="memory"',
    'id="registers"',
    'id="dumps"',
)


def test_stacks_and_logs_come_before_registers_and_maps(page: str) -> None:
    places = [page.index(words, page.index("<main>") if n else 0) for n, words in enumerate(ORDER)]
    assert places == sorted(places)


def empty_headings(page: str) -> list[str]:
    """Headings behind which another one of their rank or above, or nothing, stands."""
    inner = r"[^<]*(?:<span[^>]*>[^<]*</span>)?"
    ends = r"</section|</main"
    return [
        heading[0]
        for rank, above in ((2, "2"), (3, "[23]"))
        for heading in re.finditer(rf"<h{rank}>{inner}</h{rank}>\s*(?:<h{above}|{ends})", page)
    ]


@pytest.mark.parametrize("full", [True, False])
def test_no_heading_is_empty(page: str, full: bool) -> None:
    bare = Postmortem("x", (GuestStory("qemu1", Condition.DEAD),), LinkStory(None, problem="none"))
    shown = page if full else html_page(bare, [], [], version="0")
    assert re.findall(r"<h2[ >]", shown)
    assert empty_headings(shown) == []
    assert empty_headings("<h2>One</h2> <h2>Two</h2></section>") != []
    missing = {"Memory", "Kernels", "Link registers", "Address spaces", "Bytes", "What differs"}
    for title in missing:
        assert (f"<h2>{title}" in shown) is full


def test_maps_of_pages_have_addresses_at_their_sides(page: str) -> None:
    axes = re.findall(r'<ol class="axis"[^>]*>(.*?)</ol>', page, re.DOTALL)
    assert len(axes) == 4
    ticks = re.findall(r'style="top:([0-9.]+)%">(0x[0-9a-f]+)</li>', axes[0])
    assert ticks[0] == ("0.00", "0x0")
    for top, address in ticks:
        assert int(address, 16) / (1 << 20) == pytest.approx(float(top) / 100)
    assert "<span>+0</span><span>+0x10000</span>" in page


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    found = outline(page)
    assert found.loads
    assert all(load.startswith("data:image/png;base64,") for load in found.loads)
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "https:" not in page
    assert not re.search(r"url\((?!data:)|@import", page)


def test_what_guests_wrote_stays_text(page: str) -> None:
    assert outline(page).scripts == 1
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\x00" not in page
    assert r"\x1b[31m &amp; \x00" in page


def test_everything_of_the_story_is_told(page: str) -> None:
    text = " ".join(outline(page).text)
    for words in (
        "panic at 131.2 s: sysrq triggered crash (+1 more)",
        "RIP: pp_ping+0x42/0x80 [ntb_pingpong]",
        "it runs, its log tells of no trouble",
        "panicked here",
        "the stack is damaged",
        "pp_ping+0x42 [ntb_pingpong]",
        "has waited for 140 s",
        "needle in qemu2's log",
        "modules: the list is damaged after 3",
        "qemu1 has module ntb_tool, qemu2 has not",
        "doorbells 0x10 are set but masked",
        "driver against device: the driver masks 0x1, INDBELLMSK is 0x3",
        "qemu1:mw0",
        "qemu2:0x40000-0x4ffff",
        "standstill",
        "00040000: 7878 7878 7878 7878",
        "Made by ntbdbg 1.2.3 from before.cap",
    ):
        assert words in text, words


def test_a_link_that_cannot_be_read_is_told() -> None:
    whole = stories.story()
    story = Postmortem(whole.source, whole.guests, LinkStory(None, problem="the page is gone"))
    text = " ".join(outline(html_page(story, [], [], version="0")).text)
    assert "the page is gone" in text
    assert "nothing waits" not in text


def test_what_is_not_there_has_no_section() -> None:
    whole = stories.story()
    bare = [
        replace(g, panic=(), cpus=(), stuck=(), dmesg=(), besides=(), modules=())
        for g in whole.guests
    ]
    story = Postmortem(whole.source, tuple(bare), LinkStory(None, problem="the page is gone"))
    found = outline(html_page(story, [], [], version="0"))
    assert found.ids[:2] == ["search", "hits"]
    there = ["guest-qemu1", "guest-qemu2", "link", "kernels"]
    assert found.ids[2:] == there
    assert [link.removeprefix("#") for link in found.links] == there


def test_the_window_s_band_is_in_the_picture(page: str) -> None:
    assert page.count('class="band open"') == 2
    assert "<title>qemu1:mw0 → qemu2:0x40000, 64 KiB</title>" in page
