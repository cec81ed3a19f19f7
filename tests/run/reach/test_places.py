# SPDX-License-Identifier: MIT
"""What the operands of `cp` name."""

from __future__ import annotations

import pytest

from run.base.errors import UsageError
from run.reach.places import Copies, Place, plan


@pytest.mark.parametrize(
    ("text", "guest", "path", "name"),
    [
        ("1:/tmp/x", "1", "/tmp/x", "x"),
        ("qemu2:/var/log/", "qemu2", "/var/log/", "log"),
        ("2:file", "2", "file", "file"),
        ("qemu:/a:b", "qemu", "/a:b", "a:b"),
        ("./1:x", None, "./1:x", "1:x"),
        ("folder/file", None, "folder/file", "file"),
        ("other:/x", None, "other:/x", "x"),
    ],
)
def test_a_place(text: str, guest: str | None, path: str, name: str) -> None:
    place = Place.of(text)
    assert (place.guest, place.path, place.name) == (guest, path, name)


def test_both_directions() -> None:
    into = plan(["a", "b", "1:/tmp"])
    assert into == Copies("1", False, (Place(None, "a"), Place(None, "b")), Place("1", "/tmp"))
    out = plan(["2:/a", "."])
    assert out == Copies("2", True, (Place("2", "/a"),), Place(None, "."))


@pytest.mark.parametrize(
    ("operands", "says"),
    [
        ([], "what to copy"),
        (["1:/x"], "what to copy"),
        (["a", "b"], "neither side is a guest"),
        (["1:/x", "2:/x"], "from guest to guest"),
        (["1:/x", "y", "z"], "lies in one place"),
        (["1:", "y"], "'1:' names no file"),
        (["", "1:/x"], "'' names no file"),
        (["..", "1:/x"], "has no name of its own"),
        (["1:/", "x"], "has no name of its own"),
    ],
)
def test_what_makes_no_sense(operands: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan(operands)
