# SPDX-License-Identifier: MIT
"""Windows that still reach what their owner gave back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ntbdbg.analysis.examine import examine
from ntbdbg.analysis.verdict import LINK, Severity
from ntbdbg.lab.lab import Lab
from tests.support.fakekernel import FakeGuest
from tests.support.fakepages import FakePages
from tests.support.linuxlab import LinuxLab, page_with_window

GPA, SIZE = 8 << 20, 0x10000
PAGE = 4096
HIGH = 1 << 63

Furnish = Callable[[FakePages], object]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[[Furnish], list[str]]]:
    """What is told of windows into qemu2, whose pages a test sets."""
    with ExitStack() as stack:

        def tell(set_pages: Furnish) -> list[str]:
            def furnish(name: str, guest: FakeGuest) -> None:
                if name == "qemu2":
                    pages = FakePages(guest)
                    for number in range(SIZE // PAGE):
                        pages.set(GPA + number * PAGE, _refcount=1)
                    set_pages(pages)

            lab = LinuxLab(tmp_path / "run", furnish=furnish, page=page_with_window(GPA, SIZE))
            stack.enter_context(lab)
            found = examine(stack.enter_context(Lab.open(lab.folder))).verdicts
            ours = [one for one in found if "given back" in one.text]
            assert all((one.who, one.severity) == (LINK, Severity.WARNED) for one in ours)
            assert all(one.place == "qemu1:mw0" for one in ours)
            return [one.text for one in ours]

        yield tell


def test_a_buffer_in_use_is_no_matter(told: Callable[[Furnish], list[str]]) -> None:
    assert told(lambda pages: None) == []


def free_block(pages: FakePages) -> None:
    for number in range(1, 16):
        pages.set(GPA + number * PAGE, _refcount=0)
    pages.typed(GPA, "BUDDY", private=4, _refcount=0)


def kept(pages: FakePages) -> None:
    pages.set(GPA + 0x5000, _refcount=0)
    pages.keep({GPA + 0x4000: 1})


@pytest.mark.parametrize(
    ("set_pages", "text"),
    [
        (free_block, "64 KiB that qemu2 has given back: 0x800000 is free"),
        (kept, "8 KiB that qemu2 has given back: 0x804000 is free"),
        (
            lambda pages: pages.slab(GPA + 0x2000, b"kmalloc-4k"),
            "4 KiB that qemu2 has given back: 0x802000 is of a slab cache (kmalloc-4k)",
        ),
        (
            lambda pages: pages.typed(GPA + 0xF000, "TABLE", _refcount=1),
            "4 KiB that qemu2 has given back: 0x80f000 is a page table",
        ),
        (
            lambda pages: pages.set(GPA, mapping=HIGH | 0x1001),
            "4 KiB that qemu2 has given back: 0x800000 is of a process",
        ),
        (
            lambda pages: pages.set(GPA, mapping=HIGH | 0x1000),
            "4 KiB that qemu2 has given back: 0x800000 is of a file",
        ),
    ],
)
def test_memory_given_back(
    told: Callable[[Furnish], list[str]], set_pages: Furnish, text: str
) -> None:
    assert told(set_pages) == [f"qemu1:mw0 still reaches {text}"]
