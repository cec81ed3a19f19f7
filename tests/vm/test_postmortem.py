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
from tests.vm.support import CHECKOUT, Lab

pytestmark = pytest.mark.vm

ENDLESS = "hex:ebfe"
"""An x86 instruction that jumps to itself."""

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
def hung(lab: Lab) -> Iterator[Lab]:
    """The second guest goes round in circles in its driver, until its own watchdog says so."""
    lab.ntbdbg("patch", "qemu2", f"ntb_hw_idt:{FUNCTION}", ENDLESS)
    lab.sh(2, "echo 1 > /proc/sys/kernel/watchdog_thresh")
    port = lab.manifest.guest("qemu2").ssh_port
    assert port is not None
    reader = subprocess.Popen(
        ssh.argv(port, ["cat /sys/kernel/debug/ntb_hw_idt/info*"]),
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
    frames = story["cpus"][0]["frames"]
    assert frames[0].startswith(f"{FUNCTION} [ntb_hw_idt]"), frames
    assert any(frame.startswith("vfs_read+") for frame in frames)
    assert story["cpus"][0]["problem"] == ""
    assert of_guest(whole, 1)["condition"] == "running"
    assert whole["link"]["compared"] == ["qemu1", "qemu2"]


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
