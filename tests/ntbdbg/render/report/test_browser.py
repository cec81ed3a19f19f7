# SPDX-License-Identifier: MIT
"""The HTML page in a browser: searching, unfolding, fitting on narrow screens and on paper."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ntbdbg.render.report.page import html_page
from tests.support import stories

CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: what a person does, and what they see then; runs in the page
DRIVE = """
<script>
addEventListener("load", async () => {
  const seen = { errors: window.problems };
  const input = document.getElementById("search");
  const type = async (text) => {
    input.value = text;
    input.dispatchEvent(new Event("input"));
    await new Promise((done) => setTimeout(done, 400));
  };
  const enter = () => input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  const look = () => ({
    marks: [...document.querySelectorAll("mark")].map((mark) => mark.textContent),
    told: document.getElementById("hits").textContent,
    open: [...document.querySelectorAll("details[open]")].length,
    here: [...document.querySelectorAll("mark")].findIndex((m) => m.classList.contains("here")),
  });
  seen.before = look();
  await type("NEEDLE"); seen.needle = look();
  await type("worker_thread"); seen.frames = look();
  enter(); seen.first = look();
  enter(); seen.second = look();
  await type("no such words"); seen.nothing = look();
  await type(""); seen.after = look();
  seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  seen.width = innerWidth;
  for (const details of document.querySelectorAll("details")) details.open = true;
  seen.sideways = [...document.querySelectorAll("body, main, main *, .map")]
    .filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth && !e.closest("svg")
      && getComputedStyle(e).display !== "inline").map((e) => `${e.tagName}.${e.className}`);
  seen.loaded = performance.getEntriesByType("resource").map((r) => r.name.slice(0, 40))
    .filter((name) => !name.startsWith("data:"));
  const img = document.querySelector(".heat img");
  const box = img.getBoundingClientRect();
  img.dispatchEvent(new PointerEvent("pointermove",
    { clientX: box.left + box.width * 1.5 / img.dataset.width, clientY: box.top + 0.5 }));
  seen.pointer = img.closest("figure").querySelector("output").textContent;
  document.title = JSON.stringify(seen);
});
</script>
"""
WATCH = (
    "<script>window.problems = [];"
    'addEventListener("error", (e) => window.problems.push(e.message));</script>'
)


@pytest.fixture(scope="module")
def page() -> str:
    return html_page(stories.story(), stories.pages(), stories.DUMPS, version="0")


def browse(folder: Path, page: str, width: int, *options: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("chromium"), "chromium is among what the test command installs"
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    argv = [*CHROMIUM, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    argv += [*options, path.as_uri()]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)


def drive(folder: Path, page: str, width: int) -> dict[str, Any]:
    """What `DRIVE` saw on a screen of `width` pixels."""
    driven = page.replace("<head>", "<head>" + WATCH, 1).replace("</body>", DRIVE + "</body>", 1)
    done = browse(folder, driven, width, "--virtual-time-budget=20000", "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    seen: dict[str, Any] = json.loads(html.unescape(title[1]))
    return seen


@pytest.mark.parametrize("width", [1280, 500])
def test_search_marks_unfolds_and_walks(tmp_path: Path, page: str, width: int) -> None:
    seen = drive(tmp_path, page, width)
    assert seen["errors"] == []
    assert seen["loaded"] == []
    assert seen["needle"]["marks"] == ["needle"]
    assert seen["needle"]["told"] == "1 found"
    folded = seen["before"]["open"]
    assert len(seen["frames"]["marks"]) == 3
    assert seen["frames"]["open"] > folded  # the stack of a waiting task was folded
    assert (seen["first"]["here"], seen["first"]["told"]) == (0, "1 of 3")
    assert (seen["second"]["here"], seen["second"]["told"]) == (1, "2 of 3")
    assert (seen["nothing"]["marks"], seen["nothing"]["told"]) == ([], "not found")
    assert seen["after"] == seen["before"]
    assert seen["wide"] <= 0, "the page is wider than the screen"
    assert seen["sideways"] == []
    assert seen["width"] == width
    assert seen["pointer"] == "0x1000"


def test_it_can_be_printed(tmp_path: Path, page: str) -> None:
    target = tmp_path / "page.pdf"
    browse(tmp_path, page, 1280, f"--print-to-pdf={target}", "--no-pdf-header-footer")
    data = target.read_bytes()
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) >= 2
