# SPDX-License-Identifier: MIT
"""`python3 -m tests.fuzz --seconds N`: one campaign against the QEMU that the tests use.

`--ntb=epf` takes ports of endpoint functions.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.device.conftest import qemu_build
from tests.fuzz.campaign import Campaign, Violation, run, summary
from tests.fuzz.epf import EpfCampaign

REPORT_EVERY = 10.0
KINDS = {"idt": Campaign, "epf": EpfCampaign}


class Clock:
    """Tells when it is enough, and how far it is."""

    def __init__(self, seconds: int) -> None:
        self.begun = time.monotonic()
        self._end = self.begun + seconds
        self._next = self.begun + REPORT_EVERY

    def enough(self, campaign: Campaign) -> bool:
        now = time.monotonic()
        if now >= self._next:
            self._next += REPORT_EVERY
            print(f"fuzz: {campaign.operations:,} accesses after {now - self.begun:.0f} s")
            sys.stdout.flush()
        return now >= self._end


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--ntb", choices=KINDS, default="idt")
    options = parser.parse_args()
    build = qemu_build()
    print(f"fuzz: seed {options.seed}, {options.seconds} s, {build.qemu}")
    sys.stdout.flush()
    clock = Clock(options.seconds)
    try:
        campaign = run(build, options.seed, clock.enough, KINDS[options.ntb])
    except Violation as violation:
        print(f"fuzz: FAILED: {violation}")
        return 1
    print(summary(campaign, clock.begun, build.qemu))
    return 0


if __name__ == "__main__":
    sys.exit(main())
