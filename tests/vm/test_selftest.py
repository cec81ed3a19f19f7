# SPDX-License-Identifier: MIT
"""Linux' own ntb_test.sh, unmodified, between two guests over real ssh."""

from __future__ import annotations

import pytest

from run.suites import selftest

pytestmark = pytest.mark.vm

WINDOWS = 13
BOTH_WAYS = 2


@pytest.fixture(scope="module")
def lab(start_lab):
    return start_lab(*selftest.VMS)


def test_every_step_passes_or_is_none_of_this_hardware(lab):
    second = lab.manifest.guests[1].ssh_port
    words = ["ssh", "--name", lab.name, "1", "--", selftest.script(second)]
    done = lab.run(*words, expect=None, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = selftest.outcomes(done.stdout.splitlines())
    assert [(step.title.split(" on:")[0], step.verdict) for step in steps] == [
        ("Running port tests", "Passed"),
        *[("Running link tests", "Passed")] * BOTH_WAYS,
        *[("Running db tests", "Passed")] * BOTH_WAYS,
        *[("Running spad tests", "Unsupported")] * BOTH_WAYS,
        *[("Running msg tests", "Passed")] * BOTH_WAYS,
        *[(f"Running mw{n} tests", "Passed") for n in range(WINDOWS)] * BOTH_WAYS,
        ("Running ping pong tests", "Passed"),
        (
            "Starting ntb_msi_test tests...",
            "Not doing MSI tests seeing the module is not available.",
        ),
        ("Running local perf test without DMA", "Passed"),
        ("Running remote perf test without DMA", "Passed"),
    ]


def test_outcomes_of_a_script_that_fails_half_way():
    lines = ["Running link tests on: a / b", "  Passed", "Running db tests on: a / b", "oops"]
    good, bad = selftest.outcomes(lines)
    assert (good.is_good, bad.is_good, bad.verdict) == (True, False, "")
    unsupported, last = selftest.outcomes([*lines[2:3], "  Unsupported", lines[0]])
    assert (unsupported.is_good, last.is_good) == (True, False)
