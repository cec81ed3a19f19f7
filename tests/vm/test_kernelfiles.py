# SPDX-License-Identifier: MIT
"""What we tell other tools of a real guest's kernel, used by these tools."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.debugfiles import gdb
from tests.vm.support import Lab

pytestmark = pytest.mark.vm

GUEST = "qemu2"
"""The one whose page tables have the four levels that volatility3 reads."""


@pytest.fixture(scope="module")
def files(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of the guest and files about its kernel, all of one moment."""
    folder = tmp_path_factory.mktemp("kernelfiles")
    (folder / "symbols").mkdir()
    lab.ntbdbg("freeze")
    try:
        lab.ntbdbg("export", GUEST, "--format", "lime", "-o", f"{folder}/guest.lime")
        lab.ntbdbg("export", GUEST, "--format", "elf", "-o", f"{folder}/guest.core")
        lab.ntbdbg("export", GUEST, "--format", "isf", "-o", f"{folder}/symbols/kernel.json")
        vmlinux = ("export", GUEST, "--format", "vmlinux", "-o")
        lab.ntbdbg(*vmlinux, f"{folder}/vmlinux")
        lab.ntbdbg(*vmlinux, f"{folder}/linked", "--linked")
    finally:
        lab.ntbdbg("resume")
    return folder


def volatility(files: Path, plugin: str) -> list[list[str]]:
    """Rows that a plugin of volatility3 prints, by column."""
    cache = files / "cache"
    cache.mkdir(exist_ok=True)
    words = ["-q", "--offline", "--cache-path", cache, "-s", files / "symbols", "-r", "csv"]
    argv = [Path(sys.executable).with_name("vol"), *words, "-f", files / "guest.lime", plugin]
    done = subprocess.run(
        list(map(str, argv)), capture_output=True, timeout=600, check=False, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split(",") for line in done.stdout.splitlines() if line.startswith("0,")]


def test_volatility_lists_processes_of_a_kernel_without_debug_symbols(
    lab: Lab, files: Path
) -> None:
    theirs = {(int(row[2]), row[5]) for row in volatility(files, "linux.pslist")}
    dump = lab.json("ps", str(files / "guest.lime"))
    ours = {(task["pid"], task["name"].partition("-")[0][:15]) for task in dump["tasks"]}
    assert {pid for pid, _ in theirs} == {pid for pid, _ in ours}
    assert (1, "init") in theirs


def test_volatility_lists_modules_and_programs(lab: Lab, files: Path) -> None:
    modules = {row[2] for row in volatility(files, "linux.lsmod")}
    assert modules == set(lab.sh(2, "cut -d' ' -f1 /proc/modules").split())
    programs = {int(row[1]): row[-1] for row in volatility(files, "linux.psaux")}
    assert programs[1].strip() == lab.sh(2, "tr '\\0' ' ' < /proc/1/cmdline").strip()


def test_gdb_knows_types_variables_code_and_stacks(lab: Lab, files: Path) -> None:
    node = lab.sh(2, "uname -n")
    asked = ["p init_uts_ns.name.nodename", "ptype struct list_head", "x/3i schedule", "bt"]
    asked += ["ptype struct idt_ntb_dev", "info symbol idt_thread_isr"]
    shown = gdb(*asked, files=(files / "vmlinux", "-c", files / "guest.core"))
    assert f'$1 = "{node}"' in shown
    assert "struct list_head *next;" in shown
    assert "<schedule" in shown
    assert "struct ntb_dev ntb;" in shown, "types of a module"
    assert "idt_thread_isr in section ntb_hw_idt.text" in shown
    _, _, stack = shown.partition("<schedule")
    theirs = re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+)", stack, re.MULTILINE)
    (ours,) = lab.json("bt", str(files / "guest.core"), "cpu:0")["stacks"]
    names = [frame["symbol"].split("+")[0] for frame in ours["frames"]]
    # What was interrupted, or runs a program, gdb may show in another way.
    if ours["end"] == "kernel" and all(f["kind"] in ("cpu", "call") for f in ours["frames"]):
        assert theirs == names


CRASH = r"""
p init_uts_ns.name.nodename
struct -o list_head
dis schedule 3
mod
bt
log
exit
"""


def test_crash_opens_it(lab: Lab, files: Path) -> None:
    argv = ["crash", "-s", str(files / "vmlinux"), str(files / "guest.core")]
    done = subprocess.run(
        argv, input=CRASH, capture_output=True, timeout=600, check=False, text=True,
        errors="replace",
    )  # fmt: skip
    shown = done.stdout
    assert lab.sh(2, "uname -n") in shown, (shown[-2000:], done.stderr[-2000:])
    assert "struct list_head *prev;" in shown
    assert "<schedule>:" in shown
    assert all(name in shown for name in lab.sh(2, "cut -d' ' -f1 /proc/modules").split())
    assert "COMMAND: " in shown
    assert "Linux version " in shown


DRGN = """
import sys, drgn
from drgn.helpers.linux import for_each_module, for_each_task
from drgn.helpers.linux.printk import get_printk_records
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
prog.load_debug_info([sys.argv[2]])
print(prog["init_uts_ns"].name.nodename.string_().decode())
print(prog.type("struct task_struct").has_member("comm"))
print(sorted(task.pid.value_() for task in for_each_task(prog)))
print(sorted(module.name.string_().decode() for module in for_each_module(prog)))
print(any(b"Linux version" in record.text for record in get_printk_records(prog)))
print([frame.name for frame in prog.stack_trace(1)][:2])
"""


def test_drgn_opens_it(lab: Lab, files: Path) -> None:
    argv = [sys.executable, "-c", DRGN, str(files / "guest.core"), str(files / "linked")]
    done = subprocess.run(argv, capture_output=True, timeout=600, check=False, text=True)
    assert done.returncode == 0, done.stderr
    tasks = lab.json("ps", str(files / "guest.core"))["tasks"]
    modules = lab.sh(2, "cut -d' ' -f1 /proc/modules").split()
    assert done.stdout.splitlines() == [
        lab.sh(2, "uname -n"),
        "True",
        str(sorted(task["pid"] for task in tasks)),
        str(sorted(modules)),
        "True",
        "['__schedule', 'schedule']",
    ]
