# SPDX-License-Identifier: MIT
"""What a postmortem says of real guests: a driver oopses, one spins with interrupts off, one hangs
in its NTB driver, the other panics. All of it happens to one lab, one after the other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from run.reach import ssh
from tests.vm import drivers, traces
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


def interrupted(stack: dict[str, Any]) -> list[str]:
    """Frames of what a processor did, below those of an interrupt that it took just then."""
    frames: list[str] = stack["frames"]
    entries = [n for n, frame in enumerate(frames) if frame.startswith("asm_sysvec_")]
    return frames[entries[-1] + 1 :] if entries else frames


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


QUIET = (
    "echo 0 > /proc/sys/kernel/watchdog;"
    " echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress"
)
"""No watchdog of the guest's own tells of what follows."""


def write_aside(lab: Lab, number: int, word: str, cpu: int = 0) -> None:
    """Have the driver do what `word` says, on that CPU; nobody waits for it."""
    what = f"taskset {1 << cpu:x} sh -c 'echo {word} > /proc/my'"
    lab.sh(number, f"(sleep 1; {what}) >/dev/null 2>&1 &")


def verdict(told: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """The only verdict with that word in its text; empty if there is none."""
    found = [one for one in told if word in one["text"]]
    assert len(found) < 2, found
    return found[0] if found else {}


@pytest.fixture(scope="module")
def driver(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Both guests have the driver of `guest/my.c`, and nobody who watches over them."""
    module = drivers.build_module(tmp_path_factory.mktemp("driver"), "my")
    for number in (1, 2):
        drivers.load_module(lab, number, module)
        lab.sh(number, QUIET)
    return lab


@pytest.fixture(scope="module")
def oopsed(driver: Lab) -> Lab:
    """The driver in the first guest warned, then it oopsed."""
    for word, beginning in (("warn", "the peer sent 3 words"), ("oops", "BUG: kernel NULL")):
        write_aside(driver, 1, word)
        driver.until(lambda beginning=beginning: has_ended(driver, beginning))
    return driver


def has_ended(lab: Lab, beginning: str) -> bool:
    """Whether the log of the first guest has all of what begins with that."""
    return "end trace" in lab.ntbdbg("dmesg", "qemu1").partition(beginning)[2]


Told = dict[str, list[dict[str, Any]]]


def spins(lab: Lab, number: int, folder: Path, until: str) -> Told:
    """What is told of a guest whose CPU 0 spins, once that matches `until`; then it goes on."""
    name = f"qemu{number}"

    def live() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = lab.json("info", name)["verdicts"]
        return found

    write_aside(lab, number, "spin")
    try:
        lab.until(lambda: re.search(until, verdict(live(), "interrupts off").get("text", "")), 100)
        capture = folder / f"{name}.cap"
        told = {
            "info": live(),
            "postmortem": lab.json("postmortem")["verdicts"],
            "frozen": lab.json("postmortem", "--freeze")["verdicts"],
            "ntb": lab.json_lines("ntb")[number - 1]["verdicts"],
        }
        lab.ntbdbg("capture", str(capture))
        return {**told, "capture": of_capture(capture)["verdicts"]}
    finally:
        lab.ntbdbg("patch", name, "my:my_spins", "u32:0")
        lab.sh(number, "echo 1 > /proc/sys/kernel/watchdog")


@pytest.fixture(scope="module")
def spun(oopsed: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Told]:
    """What was told while each of them span: the second has a CPU more, which keeps its clock."""
    folder = tmp_path_factory.mktemp("spun")
    return {
        2: spins(oopsed, 2, folder, r"still for ([3-9]|\d\d+)\."),
        1: spins(oopsed, 1, folder, "by qemu2's clock"),
    }


@pytest.fixture(scope="module")
def hung(lab: Lab, spun: dict[int, Told]) -> Iterator[Lab]:
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


def test_an_oops_without_a_panic_is_told_first_as_the_guest_tells_it(oopsed: Lab) -> None:
    log = oopsed.sh(1, "dmesg")
    (rip,) = set(re.findall(r"RIP: 0010:(my_oops\S+ \[my\])\n.*\n.*RSP: 0018", log))
    first = oopsed.json("info", "qemu1")["verdicts"][0]
    assert (first["severity"], first["place"]) == ("broken", rip)
    assert "BUG: kernel NULL pointer dereference, address: 0000000000000008" in first["text"]
    assert re.search(r", sh \(pid \d+\) on CPU 0$", first["text"])
    trace = [line.strip() for line in first["details"][2:]]
    told = log[log.index("BUG: kernel NULL") :]
    own = re.findall(r"\]  (\S+\+0x\S+(?: \[my\])?)\n", told[: told.index("Modules linked")])
    assert trace == own
    assert trace[0].startswith("my_write+")
    assert trace[-1].startswith("entry_SYSCALL_64_after_hwframe+")
    warned = verdict(oopsed.json("postmortem")["verdicts"], "the peer sent 3 words")
    assert warned["severity"] == "warned"
    assert re.search(r"my\.c:\d+\), in my_warn\+\S+ \[my\], ", warned["text"])


@pytest.mark.parametrize("where", ["info", "postmortem", "frozen", "ntb", "capture"])
def test_a_processor_that_spins_with_interrupts_off(
    spun: dict[int, Told], oopsed: Lab, where: str
) -> None:
    """By the clock that the other processor keeps."""
    found = verdict(spun[2][where], "interrupts off")
    assert (found["severity"], found["who"], found["place"]) == ("hung", "qemu2", "my_spin [my]")
    stood = re.fullmatch(
        r"CPU 0 in my_spin \[my\] with interrupts off, its clock has stood still for ([\d.]+) s",
        found["text"],
    )
    assert stood, found
    assert 3 <= float(stood[1]) < oopsed.json("info", "qemu2")["uptime_ns"] / 1e9


@pytest.mark.parametrize(
    ("where", "whose"),
    [
        ("info", "the host's clock"),
        ("postmortem", "the host's clock"),
        ("frozen", "the host's clock"),
        ("ntb", "the host's clock"),
        ("capture", "the capture's moment"),
    ],
)
def test_the_only_processor_spins(spun: dict[int, Told], where: str, whose: str) -> None:
    """Its guest's clock stands still with it; others tell for how long."""
    found = verdict(spun[1][where], "interrupts off")
    assert (found["severity"], found["place"]) == ("hung", "my_spin [my]")
    assert re.fullmatch(
        r"CPU 0 in my_spin \[my\] with interrupts off, its clock has stood still for about "
        rf"\d+ s by {whose}, \d+ s by qemu2's clock",
        found["text"],
    ), found


def test_a_guest_that_hangs_in_its_driver(hung: Lab, tmp_path: Path) -> None:
    path = tmp_path / "hang.cap"
    hung.ntbdbg("capture", str(path))
    whole = of_capture(path)
    story = of_guest(whole, 2)
    assert story["condition"] == "hung"
    assert any("soft lockup" in clause for clause in story["why"])
    stack = story["cpus"][0]
    assert interrupted(stack)[0].startswith(f"{FUNCTION} [ntb_hw_idt]"), stack
    assert any(frame.startswith("vfs_read+") for frame in stack["frames"])
    assert stack["problem"] == ""
    assert of_guest(whole, 1)["condition"] == "running"
    assert whole["link"]["compared"] == ["qemu1", "qemu2"]


def test_a_processor_that_hangs_is_where_sysrq_l_says(hung: Lab) -> None:
    """The other one interrupts it by an NMI to be told."""
    hung.until(lambda: len(_of_processor(hung, 0)) > 5)
    told = _of_processor(hung, 0)
    stack = of_guest(hung.json("postmortem", "--freeze"), 2)["cpus"][0]
    ours = [frame.partition(" [")[0] for frame in interrupted(stack)]
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
