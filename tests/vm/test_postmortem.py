# SPDX-License-Identifier: MIT
"""What a postmortem says of real guests: one hangs in its NTB driver, the other panics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from run import ssh
from tests.vm import traces
from tests.vm.conftest import StartLab
from tests.vm.support import CHECKOUT, Lab

pytestmark = [pytest.mark.vm, pytest.mark.in_order]

ENDLESS = "hex:ebfe"
"""An x86 instruction that jumps to itself."""

ASK_AGAIN_AND_AGAIN = "for i in 1 2 3 4 5 6; do sleep 4; echo l > /proc/sysrq-trigger; done"
"""What is started before all hangs: afterwards nobody can log in."""

#: a function of the driver that nothing has called yet, so no emulator has translated it
FUNCTION = "idt_dbgfs_info_read"


def of_guest(story: dict[str, Any], number: int) -> dict[str, Any]:
    return next(guest for guest in story["guests"] if guest["name"] == f"qemu{number}")


def of_capture(path: Path) -> dict[str, Any]:
    """What `postmortem` says of a capture alone."""
    argv = [sys.executable, "-m", "ntbdbg", "postmortem", str(path), "--json"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, check=True)
    story: dict[str, Any] = json.loads(done.stdout)
    return story


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    """The second guest has a processor to spare, which tells of the one that hangs."""
    return start_lab("--vm2-opts=-smp 2")


@pytest.fixture(scope="module")
def hung(lab: Lab) -> Iterator[Lab]:
    """The second guest goes round in circles in its driver, until its own watchdog says so."""
    lab.ntbdbg("patch", "qemu2", f"ntb_hw_idt:{FUNCTION}", ENDLESS)
    lab.sh(2, "echo 1 > /proc/sys/kernel/watchdog_thresh; echo 1 > /proc/sys/kernel/sysrq")
    lab.sh(2, f"taskset 2 sh -c '{ASK_AGAIN_AND_AGAIN}' >/dev/null 2>&1 &")
    port = lab.manifest.guest("qemu2").ssh_port
    assert port is not None
    reader = subprocess.Popen(
        ssh.argv(port, ["taskset 1 cat /sys/kernel/debug/ntb_hw_idt/info*"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        lab.until(lambda: "soft lockup" in lab.ntbdbg("dmesg", "qemu2"), 100)
        yield lab
    finally:
        reader.kill()
        reader.wait()


def test_a_guest_that_hangs_in_its_driver(hung: Lab, tmp_path: Path) -> None:
    path = tmp_path / "hang.cap"
    hung.ntbdbg("capture", str(path))
    whole = of_capture(path)
    story = of_guest(whole, 2)
    assert story["condition"] == "hung"
    assert any("soft lockup" in clause for clause in story["why"])
    stack = story["cpus"][0]
    assert stack["frames"][0].startswith(f"{FUNCTION} [ntb_hw_idt]"), stack
    assert any(frame.startswith("vfs_read+") for frame in stack["frames"])
    assert stack["problem"] == ""
    assert of_guest(whole, 1)["condition"] == "running"
    assert whole["link"]["compared"] == ["qemu1", "qemu2"]


def test_a_processor_that_hangs_is_where_sysrq_l_says(hung: Lab) -> None:
    """The other one interrupts it by an NMI to be told."""
    hung.until(lambda: len(_of_processor(hung, 0)) > 5)
    told = _of_processor(hung, 0)
    stack = of_guest(hung.json("postmortem", "--freeze"), 2)["cpus"][0]
    ours = [frame.partition(" [")[0] for frame in stack["frames"]]
    assert ours == [FUNCTION, *told[1:]]
    assert told[0] == f"{FUNCTION}+0x0 [ntb_hw_idt]"


def _of_processor(lab: Lab, number: int) -> list[str]:
    return traces.of_processor(lab.ntbdbg("dmesg", "qemu2"), number)


def test_a_guest_that_panicked_beside_one_that_hangs(hung: Lab, tmp_path: Path) -> None:
    hung.sh(1, "(sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    hung.until(lambda: "end Kernel panic" in hung.ntbdbg("dmesg", "qemu1"), 100)
    story = of_guest(hung.json("postmortem", "--freeze"), 1)
    assert story["condition"] == "panicked"
    assert story["panic"][0] == "Kernel panic - not syncing: sysrq triggered crash"
    where = next(stack for stack in story["cpus"] if stack["why"] == "panicked here")
    assert any(frame.startswith("sysrq_handle_crash+") for frame in where["frames"])
    page = tmp_path / "report.html"
    hung.ntbdbg("report", "-o", str(page))
    text = page.read_text(encoding="utf-8")
    for words in ("panicked", "hung", FUNCTION, "sysrq triggered crash"):
        assert words in text
