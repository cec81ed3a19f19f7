# SPDX-License-Identifier: MIT
"""The development loop on QEMU's source: enter, edit, commit, finish, build, and a VM shows it.

It compiles QEMU twice, there and back, so it runs only when asked for: NTB_DEVENV_LOOP=1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from run.config import CHECKOUT
from run.deadline import Deadline
from tests.vm.support import MOST_GUESTS, START_TIMEOUT, free_ports

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        not os.environ.get("NTB_DEVENV_LOOP"), reason="NTB_DEVENV_LOOP is not set: minutes"
    ),
]

OLD = "doorbells 0x%08x"
NEW = "doorbells LOOPED 0x%08x"
TRACE = "idt_ntb_db_set"

#: the launcher of another checkout than the one whose .venv this is
CALL = "import sys; from run.cli.main import main; sys.exit(main(sys.argv[2:]))"


class Copy:
    """A copy of the checkout, whose qemu_src may be changed."""

    def __init__(self, root: Path, runtime: Path) -> None:
        self.root, self.runtime = root, runtime
        for name in ("run", "ntbdbg", "qemu_src", "yocto_files"):
            shutil.copytree(CHECKOUT / name, root / name)
        shutil.copy(CHECKOUT / "pyproject.toml", root)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", CALL, "run", *words],
            cwd=self.root,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.runtime)},
            capture_output=True,
            text=True,
            timeout=2 * START_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def commit(self, tree: Path) -> None:
        who = ["-c", "user.name=Dev", "-c", "user.email=dev@example.com"]
        words = ["commit", "-qam", "hw/misc: say more of a doorbell"]
        subprocess.run(["git", *who, "-C", tree, *words], check=True)


@pytest.fixture
def copy(tmp_path: Path, runtime: Path) -> Iterator[Copy]:
    made = Copy(tmp_path / "checkout", runtime)
    yield made
    made.run("stop", "--name", "loop", "--quiet", "--no-keep-ram")


def test_an_edited_trace_message_reaches_a_running_vm(copy: Copy) -> None:
    folder = copy.run("enter_qemu_devenv").splitlines()
    tree = copy.root / "build" / next(line for line in folder if line == "qemu-devenv")
    events = tree / "hw/misc/trace-events"
    assert OLD in events.read_text()
    events.write_text(events.read_text().replace(OLD, NEW))
    copy.commit(tree)
    assert "0002-hw-misc-say-more-of-a-doorbell.patch" in copy.run("finish_qemu_devenv")
    copy.run("build")
    ssh, console = free_ports(MOST_GUESTS), free_ports(MOST_GUESTS)
    ports = ["--ssh-port-base", str(ssh), "--console-port-base", str(console)]
    copy.run("vms", "--name", "loop", "--detach", "--trace", TRACE, *ports)
    log = copy.runtime / "ntbdbg" / "loop" / "qemu1.log"
    assert Deadline(60).poll(lambda: "LOOPED" in log.read_text(errors="replace"))
    assert copy.run("finish_qemu_devenv").startswith("2 commits: patches and qemu_src say the same")
