# SPDX-License-Identifier: MIT
"""Owners of pages: what each kind looks like, tails, free blocks, damage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.kernel.kernel import Kernel
from ntbdbg.kernel.tasks.pages import PageMap, PageOwner
from tests.support.fakekernel import FakeGuest
from tests.support.fakepages import BIT_TYPES, BYTE_TYPES, PG_RESERVED, FakePages

MIB = 1 << 20
GPA = 8 * MIB
HIGH = 1 << 63


@pytest.fixture(scope="module", params=[BIT_TYPES, BYTE_TYPES], ids=["6.1", "6.12"])
def pages(request: pytest.FixtureRequest) -> FakePages:
    found = FakePages(FakeGuest(), request.param)
    found.slab(GPA, b"kmalloc-64")
    found.compound(GPA, 4)
    found.guest.memory  # noqa: B018  completes it
    return found


def owner(pages: FakePages, gpa: int) -> PageOwner | None:
    return PageMap(Kernel.open(pages.guest.memory)).owner(gpa)


def test_a_slab_has_the_name_of_its_cache_in_its_tails_too(pages: FakePages) -> None:
    for gpa in (GPA, GPA + 5, GPA + 0x1000, GPA + 0x3FFF):
        assert owner(pages, gpa) == ("slab", "kmalloc-64")
    assert str(owner(pages, GPA)) == "slab kmalloc-64"


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"_refcount": 1}, "allocated"),
        ({"_refcount": 2, "mapping": HIGH | 0x1000}, "page cache"),
        ({"_refcount": 2, "mapping": HIGH | 0x1001}, "anonymous"),
        ({"_refcount": 2, "mapping": HIGH | 0x1002}, "movable"),
        ({"_refcount": 2, "mapping": HIGH | 0x1003}, "anonymous"),
        ({"_refcount": 1, "mapping": 0x400}, "allocated"),
        ({"_refcount": 1, "flags": 1 << PG_RESERVED}, "reserved"),
        ({"_refcount": 0}, None),
    ],
)
def test_pages_that_do_not_say_what_they_are(
    pages: FakePages, members: dict[str, int], kind: str | None
) -> None:
    gpa = GPA + 0x10000
    pages.set(gpa, **{"flags": 0, "mapping": 0, "_mapcount": -1} | members)
    found = owner(pages, gpa)
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    ("name", "kind"), [("TABLE", "page table"), ("OFFLINE", "offline"), ("BUDDY", "free")]
)
def test_pages_that_say_what_they_are(pages: FakePages, name: str, kind: str) -> None:
    pages.typed(GPA + 0x20000, name)
    assert owner(pages, GPA + 0x20000) == (kind, None)


def test_only_the_first_page_of_a_free_block_says_that_it_is_free(pages: FakePages) -> None:
    start = GPA + 0x80000
    pages.typed(start, "BUDDY", private=3)
    for page in range(1, 9):
        pages.set(start + page * 0x1000, _mapcount=-1, _refcount=0)
    assert owner(pages, start + 0x7FFF) == ("free", None)
    assert owner(pages, start + 0x8000) is None


def test_what_no_struct_page_describes_has_no_owner(pages: FakePages) -> None:
    assert owner(pages, 1 << 44) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cache: cache.set(name=0x1234),
        lambda cache: cache.set(name=(1 << 64) - 1),
        lambda cache: cache.space.write(cache["name"], b"\x1b[31m\0"),
        lambda cache: cache.space.write(cache["name"], b"\0"),
    ],
)
def test_a_name_that_is_none_is_left_out(spoil: Callable[..., None]) -> None:
    pages = FakePages(FakeGuest())
    cache = pages.slab(GPA, b"kmalloc-64")
    pages.guest.memory  # noqa: B018
    spoil(cache)
    assert owner(pages, GPA) == ("slab", None)


def test_a_kernel_that_tells_nothing_of_its_pages() -> None:
    guest = FakeGuest()
    assert PageMap(Kernel.open(guest.memory)).owner(GPA) is None


@given(raw=st.binary(min_size=64, max_size=64))
def test_any_bytes_of_a_struct_page_give_an_owner_or_none(pages: FakePages, raw: bytes) -> None:
    pages.guest.space.write(pages.at(GPA + 0x30000).address, raw)
    owner(pages, GPA + 0x30000)


def test_pages_that_a_processor_keeps_are_free() -> None:
    pages = FakePages(FakeGuest())
    pages.keep({GPA: 0, GPA + 0x8000: 2, GPA + 0x20000: 0})
    for gpa in (0x4000, 0x9000, 0xB000, 0xC000):
        pages.set(GPA + gpa, _refcount=0)
    assert owner(pages, GPA) == owner(pages, GPA + 0x20000) == ("free", None)
    assert [owner(pages, GPA + gpa) for gpa in (0x9000, 0xB000)] == [("free", None)] * 2
    # further pages of blocks that are in use look the same, and are on no list
    assert [owner(pages, GPA + gpa) for gpa in (0x4000, 0xC000)] == [None, None]


def test_a_damaged_list_of_a_processor_hides_no_other() -> None:
    pages = FakePages(FakeGuest())
    pages.keep({GPA: 0, GPA + 0x8000: 2})
    pages.at(GPA)["lru"] = 0x1234
    assert owner(pages, GPA + 0x9000) == ("free", None)
    assert owner(pages, GPA) == ("free", None)
