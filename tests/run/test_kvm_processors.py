# SPDX-License-Identifier: MIT
"""How many processors a guest gets where nobody asked for a number."""

from __future__ import annotations

import pytest

from run.host.kvm import default_processors


@pytest.mark.parametrize(
    ("accelerator", "host", "expected"),
    [
        ("kvm", 2, 4),
        ("kvm", 64, 4),
        ("tcg", 1, 1),
        ("tcg", 2, 1),
        ("tcg", 4, 2),
        ("tcg", 64, 4),
    ],
)
def test_emulated_processors_do_not_outnumber_those_of_the_host(accelerator, host, expected):
    assert default_processors(accelerator, host) == expected
