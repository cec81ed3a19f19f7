# SPDX-License-Identifier: MIT
"""Decisions: a file each, dated, with a status, in the index; what is superseded says by what."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs/decisions"
FILES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
FORM = re.compile(
    r"# (?P<number>\d+)\. (?P<title>[^\n]+)\n\n"
    r"- Date: (?P<date>\d{4}-\d\d-\d\d)\n"
    r"- Status: (?P<status>[^\n]+)\n\n"
    r"(?P<text>\S.+)\n\Z",
    re.DOTALL,
)
LINK = re.compile(r"\[(\d{3})\]\((\d{3})-[a-z0-9-]+\.md\)")
WIDTH = 100


def parts(path: Path) -> dict[str, str]:
    found = FORM.match(path.read_text(encoding="utf-8"))
    assert found, f"{path.name} has another form"
    return found.groupdict()


def test_numbers_have_no_gap() -> None:
    assert [int(path.name[:3]) for path in FILES] == list(range(1, len(FILES) + 1))
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_form(path: Path) -> None:
    found = parts(path)
    assert int(found["number"]) == int(path.name[:3])
    datetime.date.fromisoformat(found["date"])
    assert max(map(len, found["text"].splitlines())) <= WIDTH


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_supersedes_and_what_is_superseded_name_each_other(path: Path) -> None:
    status = parts(path)["status"]
    kind, _, rest = status.partition(" by ")
    if kind == "superseded":
        (number, _), other = LINK.findall(rest)[0], "supersedes"
    elif status.startswith("accepted; supersedes "):
        (number, _), other = LINK.findall(status)[0], "superseded by"
    else:
        assert status == "accepted"
        return
    there = parts(FILES[int(number) - 1])["status"]
    assert f"{other} [{path.name[:3]}]" in there


def test_dates_go_up() -> None:
    dates = [parts(path)["date"] for path in FILES]
    assert dates == sorted(dates)


def test_all_are_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in index if line.startswith("| [")]
    for row, path in zip(rows, FILES, strict=True):
        found = parts(path)
        status = found["status"].partition(" by ")[0].partition(";")[0]
        assert row.startswith(f"| [{path.name[:3]}]({path.name}) | {found['date']} | ")
        assert row.endswith(f" | {status} |")
