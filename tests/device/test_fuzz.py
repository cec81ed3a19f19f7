# SPDX-License-Identifier: MIT
"""A bounded run of what `python3 run fuzz` does without end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.device import port as nt
from tests.device.qtest import Build
from tests.fuzz.campaign import Campaign, Violation, run, summary

SEED = 20261123
OPERATIONS = 200_000
SECONDS = 120


def test_sanitizers_are_in_it(sanitized: Build) -> None:
    """Only code that was compiled with them asks for these."""
    argv = ["nm", "--dynamic", "--undefined-only", str(sanitized.qemu)]
    wanted = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "__asan_report_store" in wanted
    assert "__ubsan_handle_" in wanted


def test_two_hostile_guests(sanitized: Build, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()

    def enough(campaign: Campaign) -> bool:
        return campaign.operations >= OPERATIONS or time.monotonic() > begun + SECONDS

    campaign = run(sanitized, SEED, enough)
    with capsys.disabled():
        print(f"\n{summary(campaign, begun, sanitized.qemu)}")
    assert campaign.operations >= OPERATIONS
    assert campaign.scribbles > 0


def change_a_register(campaign: Campaign) -> None:
    campaign.ports[1].write(nt.NTSDATA, 1)


def change_the_senders_ram(campaign: Campaign) -> None:
    campaign.ports[0].qemu.write(0x800000, 1)


def kill_one(campaign: Campaign) -> None:
    campaign.ports[0].qemu.process.kill()


DEEDS = {
    change_a_register: "registers of the other port changed: 0x40c",
    change_the_senders_ram: "the hostile guest's RAM changed",
    kill_one: "exit code -9",
}


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_a_campaign_notices(
    sanitized: Build, deed: Callable[[Campaign], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it must never find, done to it by hand while the first guest is hostile."""
    with ExitStack() as stack:
        campaign = Campaign(sanitized, stack, SEED)
        monkeypatch.setattr(campaign, "batch", lambda *_, **__: deed(campaign))
        with pytest.raises(Violation, match=DEEDS[deed]):
            campaign.run(lambda: False)
