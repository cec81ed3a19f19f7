# SPDX-License-Identifier: MIT
"""What a soak comes to, from pytest's report."""

from __future__ import annotations

from pathlib import Path

from run.base.config import CHECKOUT
from run.suites import soak

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.vm.test_faults" name="test_reboot[0]" time="2.5"/>
<testcase classname="tests.vm.test_faults" name="test_reboot[1]" time="3.0"><failure/></testcase>
<testcase classname="tests.device.test_faults" name="test_kill" time="60"/>
</testsuite></testsuites>"""


def test_runs_of_one_fault_are_counted_together(tmp_path: Path) -> None:
    report = tmp_path / "soak.xml"
    report.write_text(REPORT)
    found = soak.faults(report)
    assert found == [
        soak.Fault("vm/test_faults: test_reboot", 2, 1, 5.5),
        soak.Fault("device/test_faults: test_kill", 1, 0, 60.0),
    ]
    assert "| vm/test_faults: test_reboot | 2 | 1 | 6 |" in soak.table(found, 2)


def test_every_test_that_repeats_is_in_a_soak() -> None:
    repeating = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        if "tests.device.soak import" in path.read_text() and path != Path(__file__)
    }
    assert repeating == {*soak.DEVICE, *soak.GUESTS}
