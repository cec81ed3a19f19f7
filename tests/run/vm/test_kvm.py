# SPDX-License-Identifier: MIT
"""How many processors a guest gets where nobody asked for a number."""

from __future__ import annotations

import pytest

from run.vm.kvm import default_processors


@pytest.mark.parametrize(
    ("accelerator", "guests", "host", "expected"),
    [
        ("kvm", 2, 2, 4),
        ("kvm", 6, 64, 4),
        ("tcg", 2, 1, 1),
        ("tcg", 2, 2, 1),
        ("tcg", 1, 4, 2),
        ("tcg", 2, 4, 2),
        ("tcg", 2, 64, 4),
        ("tcg", 6, 4, 1),
        ("tcg", 6, 12, 2),
    ],
)
def test_emulated_processors_do_not_outnumber_those_of_the_host(
    accelerator, guests, host, expected
):
    assert default_processors(accelerator, guests, host) == expected
