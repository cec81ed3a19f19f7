# SPDX-License-Identifier: MIT
"""Names in one text against a list of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.kernel.symbols.names import Names

LISTS = st.lists(st.text("ab\nü\udc80", max_size=4), max_size=30)


@given(LISTS)
def test_it_is_the_list(names: list[str]) -> None:
    made = Names.of(names)
    assert list(made) == names
    assert made[1:] == names[1:]
    assert made[-1:] == names[-1:]
    assert Names.of(made) is made


@given(LISTS, st.text("ab\nü\udc80", max_size=3), st.integers(0, 1))
def test_a_search_finds_what_a_comparison_finds(names: list[str], name: str, skip: int) -> None:
    wanted = [i for i, one in enumerate(names) if one.isascii() and one[skip:] == name]
    wanted = [i for i in wanted if len(names[i]) >= skip]
    found = [i for i in Names.of(names).search(name, skip) if names[i].isascii()]
    assert found == wanted


def test_there_is_nothing_behind_its_end() -> None:
    with pytest.raises(IndexError):
        Names.of(["a"])[1]
