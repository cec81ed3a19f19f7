# SPDX-License-Identifier: MIT
"""Look-ups in a table of symbols against a naive one."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.kernel.symbols import symbols
from ntbdbg.kernel.symbols.symbols import IMAGE_START, Symbol, SymbolTable

BASE = 0xFFFF_FFFF_8100_0000
NAMES = st.text("abT._", min_size=1, max_size=4)
ROWS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 40), st.integers(BASE, BASE + 60)), st.sampled_from("Tdt"), NAMES
    ),
    max_size=30,
)


def table(rows, **more) -> SymbolTable:
    addresses = array("Q", [address for address, _, _ in rows])
    return SymbolTable(addresses, [letter + name for _, letter, name in rows], **more)


@pytest.mark.parametrize("few", [0, 1000], ids=["dictionary", "search"])
@given(rows=ROWS, name=NAMES)
def test_by_name(few, rows, name):
    symbols_few, symbols.FEW_LOOKUPS = symbols.FEW_LOOKUPS, few
    try:
        found = table(rows).named(name)
    finally:
        symbols.FEW_LOOKUPS = symbols_few
    ordered = [row for row in sorted(rows, key=lambda row: row[0]) if row[2] == name]
    wanted = sorted(ordered, key=lambda row: not row[1].isupper())
    assert [(s.address, s.letter, s.name) for s in found] == wanted


@given(rows=ROWS, address=st.integers(BASE - 5, BASE + 80))
def test_by_address(rows, address):
    found = table(rows, end=BASE + 70).at(address)
    image = [row for row in rows if IMAGE_START <= row[0] <= address]
    if not image or address >= BASE + 70:
        assert found is None
        return
    nearest = max(row[0] for row in image)
    assert found is not None
    assert found.address == nearest
    following = [row[0] for row in rows if row[0] > nearest]
    assert found.size == min(following, default=BASE + 70) - nearest
    assert found.is_global == any(row[0] == nearest and row[1].isupper() for row in image)


def test_values_are_no_places():
    found = table([(0x10, "A", "offset"), (BASE, "T", "_text"), (BASE + 4, "T", "_end")])
    assert found.at(BASE - 1) is None
    assert found.named("offset") == [Symbol("offset", 0x10, 0, None, "A")]
    assert found.at(BASE + 4) == Symbol("_end", BASE + 4, 0, None, "T")
    assert found.at(BASE + 5) is None


def test_no_symbols():
    assert SymbolTable.empty().at(BASE) is None
    assert SymbolTable.empty().named("") == []


def test_names_that_somebody_may_have_meant():
    rows = [(BASE, "T", "start_kernel"), (BASE, "T", "stop_kernel"), (BASE, "d", "other")]
    assert symbols.nearest("start_kernl", [table(rows)])[0] == "start_kernel"
    assert symbols.nearest("zzzzz", [table(rows)]) == []
