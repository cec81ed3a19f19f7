# SPDX-License-Identifier: MIT
"""In what guests differ, in sentences."""

from __future__ import annotations

from ntbdbg.analysis.differences import Traits, differences


def guest(name: str, release: object = "6.1", modules: set[str] | None = None) -> Traits:
    known = None if modules is None else frozenset(modules)
    return Traits(name, {"kernel": release}, {"module": known})


def test_alike_guests_have_none() -> None:
    assert list(differences([guest("a", modules={"ntb"}), guest("b", modules={"ntb"})])) == []


def test_values_are_told_with_their_guests() -> None:
    told = list(differences([guest("a", ("6.1", None)), guest("b", ("6.12", "#1"))]))
    assert told == ["kernel: 6.1 in a, 6.12 #1 in b"]


def test_an_empty_value_is_none() -> None:
    assert list(differences([guest("a", ""), guest("b", "W")])) == ["kernel: none in a, W in b"]


def test_members_are_told_by_who_has_them() -> None:
    told = list(differences([guest("a", modules={"x", "y"}), guest("b", modules={"y", "z"})]))
    assert told == ["module x: in a, not in b", "module z: in b, not in a"]


def test_what_is_not_known_of_one_is_not_compared() -> None:
    assert list(differences([guest("a", "6.1", {"x"}), guest("b", None)])) == []


def test_one_guest_or_none_differ_from_nobody() -> None:
    assert list(differences([])) == []
    assert list(differences([guest("a", modules={"x"})])) == []
