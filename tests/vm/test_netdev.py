# SPDX-License-Identifier: MIT
"""A network interface over the bridge: Linux' own transport on unmodified drivers."""

from __future__ import annotations

import pytest

from tests.vm.support import Lab

pytestmark = pytest.mark.vm

ARRIVES = "ping -c 1 -W 1 10.77.0.2 > /dev/null && echo yes || true"


@pytest.fixture(scope="module")
def lab(start_lab) -> Lab:
    """Two guests, each with an interface whose link is up."""
    lab = start_lab("--ntb=epf", "--client=netdev")
    lab.until(lambda: lab.sh(1, ARRIVES).strip() == "yes", timeout=120)
    return lab


def test_both_families(lab: Lab) -> None:
    for address in ("10.77.0.2", "fd77::2"):
        assert " 0% packet loss" in lab.sh(1, f"ping -c 5 -W 10 {address}")


def test_what_is_sent_arrives(lab: Lab) -> None:
    sent = lab.sh(1, "head -c 5000000 /dev/urandom > /tmp/sent; md5sum < /tmp/sent")
    assert lab.sh(1, "ssh root@10.77.0.2 md5sum < /tmp/sent") == sent
    lab.sh(1, "rm /tmp/sent")
    assert [lab.complaints(number) for number in (1, 2)] == ["", ""]
