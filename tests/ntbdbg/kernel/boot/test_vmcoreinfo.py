# SPDX-License-Identifier: MIT
"""The text that a kernel keeps about itself, whole and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntbdbg.errors import KernelError
from ntbdbg.kernel.boot.vmcoreinfo import Vmcoreinfo

TEXT = b"""\
OSRELEASE=6.1.0-56-amd64
BUILD-ID=EB4fbcd037e7253717950bf2b93bd5566f47c56f
PAGESIZE=4096
SYMBOL(init_uts_ns)=ffffffffb05fb000
OFFSET(uts_namespace.name)=0
SYMBOL(swapper_pg_dir)=ffffffffb0410000
SIZE(page)=64
LENGTH(mem_section)=2048
NUMBER(phys_base)=-667942912
NUMBER(pgtable_l5_enabled)=1
NUMBER(sme_mask)=0
KERNELOFFSET=2e600000
"""


def parse(text: bytes) -> Vmcoreinfo | None:
    return Vmcoreinfo.parse(0x1000, text + b"\0" * 100)


def test_every_kind_of_line():
    info = parse(TEXT)
    assert info is not None
    assert (info.address, info.text) == (0x1000, TEXT)
    assert (info.release, info.version) == ("6.1.0-56-amd64", (6, 1))
    assert info.build_id == "eb4fbcd037e7253717950bf2b93bd5566f47c56f"
    assert info.symbol("init_uts_ns") == 0xFFFFFFFFB05FB000
    assert (info.offset("uts_namespace.name"), info.size("page")) == (0, 64)
    assert (info.length("mem_section"), info.number("sme_mask")) == (2048, 0)
    assert (info.kernel_offset, info.phys_base) == (0x2E600000, -667942912)
    assert (info.arch.name, len(info.geometry.levels)) == ("x86_64", 5)


def test_a_root_from_a_negative_phys_base():
    info = parse(TEXT)
    assert info is not None
    assert info.page_table_root == 0xFFFFFFFFB0410000 - 0xFFFFFFFF80000000 - 667942912


@pytest.mark.parametrize("asked", ["symbol", "number", "offset", "size", "length"])
def test_what_is_not_told_is_none(asked):
    assert getattr(parse(TEXT), asked)("nothing") is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        TEXT[1:],
        TEXT[:20],
        TEXT.replace(b"6.1.0-56-amd64", b"%s"),
        TEXT.replace(b"6.1.0", b"6.1.0\xff"),
    ],
)
def test_a_text_without_a_release_is_none(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        TEXT + b"vendor_build=7\n",
        TEXT.replace(b"=4096", b"=4096\xff"),
        TEXT.replace(b"PAGESIZE=", b"PAGESIZE "),
        TEXT.replace(b"4096", b"4" * 300),
        TEXT.replace(b"PAGESIZE", b"\n"),
        TEXT.replace(b"PAGESIZE", b"a\rPAGESIZE"),
    ],
)
def test_lines_that_are_not_understood_are_passed_over(text):
    info = parse(text)
    assert info is not None
    assert set(info.values) - {"PAGESIZE"} == set(parse(TEXT).values) - {"PAGESIZE"}
    assert info.text == text


def test_a_last_line_that_the_page_cuts_is_dropped():
    full = TEXT + b"".join(b"NUMBER(n%d)=1234567\n" % n for n in range(300))
    info = Vmcoreinfo.parse(0, full[:4096])
    assert info is not None
    assert len(full) > 4096 > len(info.text) > 4096 - 30
    assert info.text.endswith(b"\n")
    assert info.kernel_offset == 0x2E600000
    assert all(value == "1234567" for key, value in info.values.items() if key[7:8] == "n")


@pytest.mark.parametrize("value", [b"", b"0x", b"12345678901234567", b"-1", b"1 2"])
def test_a_symbol_that_is_no_number_is_not_told(value):
    info = parse(TEXT.replace(b"ffffffffb05fb000", value))
    assert info is not None
    assert info.symbol("init_uts_ns") is None


def test_what_addresses_need_is_named_when_it_lacks():
    info = parse(TEXT.replace(b"NUMBER(phys_base)", b"NUMBER(other)"))
    assert info is not None
    with pytest.raises(KernelError, match=r"lacks NUMBER\(phys_base\)"):
        _ = info.page_table_root


@given(st.binary(max_size=200), st.integers(0, len(TEXT)))
def test_noise_is_parsed_or_refused(noise, at):
    info = Vmcoreinfo.parse(0, TEXT[:at] + noise + TEXT[at:])
    if info is not None:
        assert info.release
        assert info.kernel_offset >= 0
