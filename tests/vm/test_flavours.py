# SPDX-License-Identifier: MIT
"""The truths of test_kernel.py in guests with other kernels of Debian: cloud and real time."""

from __future__ import annotations

from functools import cache

import pytest

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.lab.lab import Lab as TargetLab
from tests.vm.test_kernel import (
    kallsyms,
    test_drgn_agrees,
    test_every_symbol_of_every_module,
    test_every_symbol_of_vmlinux,
    test_info_is_what_the_guest_says,
    test_log_is_that_of_dmesg,
    test_modules_as_proc_modules_has_them,
    test_physical_addresses,
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
    "test_physical_addresses",
    "test_processors_and_their_copies",
    "test_tasks_are_those_of_proc",
    "test_types_byte_for_byte",
]

pytestmark = pytest.mark.vm


@pytest.fixture(params=["cloud-amd64", "rt-amd64"], scope="module")
def flavour(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def started(start_lab):
    """Each lab, started once: tests come in any order."""
    words = ("--cmdline-common=nokaslr",)
    return cache(lambda name: start_lab(f"--kernel-flavour={name}", *words, kind="vm"))


@pytest.fixture(scope="module")
def lab(started, flavour):
    return started(flavour)


@pytest.fixture(scope="module")
def number() -> int:
    return 1


@pytest.fixture(scope="module")
def guest() -> str:
    return "qemu"


@pytest.fixture(scope="module")
def kernel(lab, guest):
    with TargetLab.open(lab.folder) as opened:
        yield Kernel.open(opened.guest(guest).memory)


def test_it_is_that_kernel(lab, kernel, flavour, number):
    assert kernel.info.release == lab.sh(number, "uname -r")
    assert kernel.info.release.endswith(f"-{flavour}")
    assert kernel.info.kernel_offset == 0, "nokaslr"
