# SPDX-License-Identifier: MIT
"""Guests with a vIOMMU: windows into them are closed, and nobody calls that agreement."""

from __future__ import annotations

import pytest

from run.demo import tool
from tests.vm.conftest import StartLab

pytestmark = pytest.mark.vm

IOMMU = ("--common-opts=-device intel-iommu", "--cmdline-common=intel_iommu=on")
SIZE = 0x10000


def test_a_window_that_the_peers_iommu_closes_is_told(start_lab: StartLab) -> None:
    lab = start_lab(*IOMMU)
    for number in (1, 2):
        lab.sh(number, tool.SWAP_CLIENT)
        lab.sh(number, tool.LINK_UP)
    address = tool.dma_address(lab.sh(2, tool.make_buffer(SIZE)))
    lab.sh(1, tool.point_window(address, SIZE))
    views = {view["guest"]: view for view in lab.json_lines("ntb", expect=1)}
    (found,) = views["qemu1"]["disagreements"]
    assert (found["kind"], found["subject"]) == ("closed_by_peer", "mw0")
    assert found["device"].startswith("closed: peer has an IOMMU")
    assert views["qemu2"]["disagreements"] == []
    told = [v["text"] for v in views["qemu1"]["verdicts"] if v["who"] == "link"]
    assert any("mw0: whether a window reaches the peer" in text for text in told)
    windows = lab.json("windows", "qemu1")["windows"]
    assert windows[0]["open"] is False
