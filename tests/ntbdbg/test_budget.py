# SPDX-License-Identifier: MIT
"""What a command may spend: drawn on by every walk, and told when it lacks."""

from __future__ import annotations

import pytest

from ntbdbg.budget import BYTES, ITEMS, MOST_STEPS, STEPS, Budget, SpentError
from ntbdbg.errors import KernelError


def test_what_is_there_can_be_spent_to_the_last() -> None:
    budget = Budget(items=3, bytes=100, steps=2)
    budget.take(items=3, bytes=100)
    budget.step()
    budget.step()
    assert (budget.items, budget.bytes, budget.steps, budget.spent) == (0, 0, 0, None)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda budget: budget.take(items=2000), "1,000 things were found in it"),
        (lambda budget: budget.take(bytes=3 << 20), "2 MiB of its data were asked for"),
        (
            lambda budget: [budget.step() for _ in range(6)],
            "more than 5 looks at its memory",
        ),
    ],
)
def test_what_lacks_is_told_and_stays_so(draw, words: str) -> None:
    budget = Budget(items=1000, bytes=2 << 20, steps=5)
    with pytest.raises(SpentError, match=words) as first:
        draw(budget)
    assert isinstance(first.value, KernelError)
    assert "ask for less" in str(first.value)
    assert budget.spent is not None
    assert budget.spent.endswith(f"{words}, more than a sound guest needs")
    with pytest.raises(SpentError):
        draw(budget)


def test_a_new_look_begins_with_all_of_it() -> None:
    budget = Budget(items=1)
    with pytest.raises(SpentError):
        budget.take(items=2)
    budget.renew()
    budget.take(items=1)
    assert budget.spent is None


def test_much_ram_earns_more_and_what_is_spent_stays_spent() -> None:
    assert Budget.for_ram(16 << 20).items == ITEMS
    large = Budget.for_ram(2 << 30)
    assert (large.items, large.bytes, large.steps) == (2 << 20, 4 * BYTES, 2 << 20)
    assert Budget.for_ram(1 << 50).steps == MOST_STEPS
    budget = Budget()
    budget.take(items=7)
    budget.widen(1 << 20)
    assert (budget.items, budget.steps) == (ITEMS - 7, STEPS)
    budget.widen(2 << 30)
    assert (budget.items, budget.steps) == ((2 << 20) - 7, 2 << 20)
