# SPDX-License-Identifier: MIT
"""A port that closes waits for its peers, and every wait that was in vain is counted and told.

The guest's other processors go on meanwhile, and a peer answers only when all of its own have let
go of the window: on a busy host that can take longer than `quiesce-timeout-ms`.
"""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.vm

RELOADS = 30
RELOAD = "modprobe -r ntb_pingpong && modprobe ntb_pingpong"


@pytest.fixture(scope="module")
def lab(start_lab):
    """Two guests of two processors each."""
    return start_lab("--smp", "2", "--trace", "ntb_quiesce*")


def test_timeouts_are_counted(lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.sh(1, f"for i in $(seq {RELOADS}); do {RELOAD} || exit 1; done")
    log = lab.log(1)
    took = [int(us) for us in re.findall(r"ntb_quiesce partition 0: epoch \d+ took (\d+) us", log)]
    told = len(re.findall(r"ntb_quiesce_timeout partition 0:", log))
    counted = lab.port_block(1).quiesce_timeouts
    assert len(took) >= RELOADS
    assert counted == told
    warned = len(re.findall(r"did not close their windows within", log))
    assert warned == min(counted, 1)  # once, however many
    assert lab.json("regs", "qemu1")["statistics"]["quiesce_timeouts"] == told
    with capsys.disabled():
        median = sorted(took)[len(took) // 2]
        print(f"\n{len(took)} closes, {counted} timeouts, median {median / 1000:.1f} ms")
