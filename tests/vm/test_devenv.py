# SPDX-License-Identifier: MIT
"""The development loop on QEMU's source: enter, edit, commit, finish, build, and a VM shows it.

The edit is another one in each run, so that it is compiled; only what depends on it is, in the tree
that all builds of this source share, as for anybody who develops QEMU here. Nothing else stays.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from run.base.config import cache_dir
from run.base.deadline import Deadline
from run.steps.artifacts import MissingBuild, QemuInstall
from run.steps.store import Store
from tests.support.checkout import PATCH, TRACE, CheckoutCopy
from tests.vm.support import MOST_GUESTS, START_TIMEOUT, free_ports

pytestmark = pytest.mark.vm


@pytest.fixture
def copy(tmp_path: Path, runtime: Path) -> Iterator[CheckoutCopy]:
    made = CheckoutCopy(tmp_path / "checkout", {"XDG_RUNTIME_DIR": str(runtime)})
    yield made
    made.run("stop", "--name", "loop", "--quiet", "--no-keep-ram")
    with suppress(MissingBuild):
        Store(cache_dir() / "builds").forget("qemu", QemuInstall.load(made.root / "build").key)
    shutil.rmtree(made.root)  # a gigabyte, of which pytest would keep three


def test_an_edited_trace_message_reaches_a_running_vm(copy: CheckoutCopy, runtime: Path) -> None:
    word = f"looped-{uuid.uuid4().hex[:8]}"
    assert "qemu-devenv" in copy.run("enter_qemu_devenv").splitlines()
    copy.edit_trace(copy.root / "build" / "qemu-devenv", word)
    assert PATCH in copy.run("finish_qemu_devenv")
    copy.run("build", timeout=2 * START_TIMEOUT)
    ssh, console = free_ports(MOST_GUESTS), free_ports(MOST_GUESTS)
    ports = ["--ssh-port-base", str(ssh), "--console-port-base", str(console)]
    words = ["vms", "--name", "loop", "--detach", "--trace", TRACE, *ports]
    copy.run(*words, timeout=START_TIMEOUT)
    log = runtime / "ntbdbg" / "loop" / "qemu1.log"
    assert Deadline(60).poll(lambda: word in log.read_text(errors="replace"))
    assert copy.run("finish_qemu_devenv").startswith("2 commits: patches and qemu_src say the same")
