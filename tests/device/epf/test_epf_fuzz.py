# SPDX-License-Identifier: MIT
"""A bounded run of what `python3 run fuzz` does without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.device.qtest import Build
from tests.fuzz.campaign import Campaign, Violation, run, summary
from tests.fuzz.epf import EpfCampaign

SEED = 20261130
OPERATIONS = 60_000
SECONDS = 120


def test_two_hostile_guests(sanitized: Build, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()

    def enough(campaign: Campaign) -> bool:
        return campaign.operations >= OPERATIONS or time.monotonic() > begun + SECONDS

    campaign = run(sanitized, SEED, enough, EpfCampaign)
    with capsys.disabled():
        print(f"\n{summary(campaign, begun, sanitized.qemu)}")
    assert campaign.operations > 0
    assert campaign.scribbles > 0


DEEDS: dict[str, tuple[Callable[[Campaign], None], str]] = {
    "a register": (lambda c: c.ports[1].write(0x10, 1), "the other port changed: 0x10"),
    "its memory": (lambda c: c.ports[1].qemu.write(0x800000, 1), "memory that is not lent"),
    "the senders": (lambda c: c.ports[0].qemu.write(0x800000, 1), "the hostile guest's RAM"),
    "a death": (lambda c: c.ports[0].qemu.process.kill(), "exit code -9"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_campaign_notices(sanitized: Build, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it must never find, done to it by hand while the first guest is hostile."""
    act, complaint = DEEDS[deed]
    with ExitStack() as stack:
        campaign = EpfCampaign(sanitized, stack, SEED)
        monkeypatch.setattr(campaign, "batch", lambda *_, **__: act(campaign))
        with pytest.raises(Violation, match=complaint):
            campaign.run(lambda: False)
