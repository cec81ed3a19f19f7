# SPDX-License-Identifier: MIT
"""Guests with kernels of all kinds, linked with each other: the truths of test_kernel.py in each.

One lab has a kernel's build folder, laid out from Debian's packages, beside Debian trixie's; the
other a bzImage with installed modules beside the newest backport, where that could be had.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.lab.lab import Lab as TargetLab
from run.guest.choice import DebianKernel
from run.make.prepare import BACKPORT, TRIXIE
from run.steps.artifacts import MissingBuild
from tests.vm import waiting
from tests.vm.kerneltree import image_of, lay_out
from tests.vm.support import Lab
from tests.vm.test_kernel import (
    kallsyms,
    test_drgn_agrees,
    test_every_symbol_of_every_module,
    test_every_symbol_of_vmlinux,
    test_info_is_what_the_guest_says,
    test_log_is_that_of_dmesg,
    test_modules_as_proc_modules_has_them,
    test_processors_and_their_copies,
    test_tasks_are_those_of_proc,
    test_types_byte_for_byte,
)

__all__ = [
    "kallsyms",
    "test_drgn_agrees",
    "test_every_symbol_of_every_module",
    "test_every_symbol_of_vmlinux",
    "test_info_is_what_the_guest_says",
    "test_log_is_that_of_dmesg",
    "test_modules_as_proc_modules_has_them",
    "test_processors_and_their_copies",
    "test_tasks_are_those_of_proc",
    "test_types_byte_for_byte",
]

pytestmark = pytest.mark.vm

TREE, FILE = "build folder", "bzImage"


def _backport() -> DebianKernel:
    """Trixie's once more on a day on which no backport could be had; its build told so."""
    try:
        image_of(BACKPORT)
    except MissingBuild:
        return TRIXIE
    return BACKPORT


#: what each guest of each lab has; the build folder is of bookworm's kernel, the file of trixie's
GUESTS = {"folders": (TREE, TRIXIE), "files": (FILE, _backport())}
BUILT_FROM = {TREE: DebianKernel(), FILE: TRIXIE}

MOST_SECONDS = "--boot-timeout=350"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("linux"), BUILT_FROM[TREE])


@pytest.fixture(scope="module")
def started(start_lab, tree) -> Callable[[str], Lab]:
    """Each lab, started once: tests come in any order."""
    guest = image_of(BUILT_FROM[FILE])
    words = {
        "folders": [f"--vm1-kernel={tree}", f"--kernel={TRIXIE}"],
        "files": [
            *(f"--kernel={guest.kernel}", f"--modules={guest.modules}"),
            f"--vm2-kernel={_backport()}",
        ],
    }
    return cache(lambda name: start_lab(*words[name], MOST_SECONDS))


@pytest.fixture(params=GUESTS, scope="module")
def lab(request, started) -> Lab:
    return started(request.param)


@pytest.fixture(params=[1, 2], scope="module")
def number(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def guest(number) -> str:
    return f"qemu{number}"


@pytest.fixture(scope="module")
def kernel(lab, guest):
    with TargetLab.open(lab.folder) as opened:
        yield Kernel.open(opened.guest(guest).memory)


def test_it_is_that_kernel(lab, number, request):
    kind = GUESTS[request.node.callspec.params["lab"]][number - 1]
    wanted = image_of(BUILT_FROM[kind] if isinstance(kind, str) else kind).release
    assert lab.sh(number, "uname -r") == wanted
    record = lab.manifest.guests[number - 1].kernel
    assert record is not None
    assert record.release == wanted


def test_driver_and_device_agree(lab):
    """Whatever kernel is on the other side: the link is up, and both clients get doorbells."""
    counts = "cat /sys/kernel/debug/ntb_pingpong/*/count"
    lab.until(lambda: all(int(lab.sh(n, counts)) > 0 for n in (1, 2)), timeout=120)
    views = [view for view in lab.json_lines("ntb") if view["kind"] == "ntb"]
    assert [(view["guest"], view["disagreements"]) for view in views] == [
        ("qemu1", []),
        ("qemu2", []),
    ]


def test_waiting_tasks_are_where_the_guest_says(lab, number, guest):
    waiting.check_proc(lab, number, guest)


def test_nothing_went_wrong(lab, number):
    assert lab.complaints(number) == ""
