# SPDX-License-Identifier: MIT
"""Waiting, on a clock that the test turns."""

from __future__ import annotations

import pytest

from run.base.deadline import Deadline
from run.base.interrupts import Interrupted, Interrupts


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_poll_returns_the_first_true_answer():
    clock = Clock()
    answers = iter([0, None, "yes", "never asked"])
    assert Deadline(10, clock=clock, sleep=clock.sleep).poll(lambda: next(answers)) == "yes"


def test_poll_gives_up_in_time_and_asks_at_least_once():
    clock = Clock()
    asked = []
    deadline = Deadline(1, clock=clock, sleep=clock.sleep)
    assert deadline.poll(lambda: asked.append(clock.now)) is None
    assert asked[0] == 100.0
    assert asked[-1] == pytest.approx(101.0)
    assert deadline.expired
    assert deadline.remaining == 0.0
    assert Deadline(0, clock=clock, sleep=clock.sleep).poll(lambda: True)


def test_interrupt_ends_a_wait():
    interrupts = Interrupts()
    interrupts.count = 1
    with pytest.raises(Interrupted):
        Deadline(60, sleep=interrupts.sleep).poll(lambda: False)
