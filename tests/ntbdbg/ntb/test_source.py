# SPDX-License-Identifier: MIT
"""The file of the shared page: liveness, torn tables, and files that go away."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

import pytest

from ntbdbg.errors import NtbError, TargetError
from ntbdbg.ntb import sharedpage
from ntbdbg.ntb.source import PageFile
from tests.support.fakeswitch import FakeSwitch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    switch = FakeSwitch()
    switch.link_up()
    return switch.save(tmp_path / "page")


def test_link(path: Path) -> None:
    with PageFile(path) as page:
        link = page.link()
    assert link.source == str(path)
    assert [port.alive for port in link.ports] == [True, True]
    assert link.sees_up(0, 1)


def test_a_capture_does_not_ask_who_lives(path: Path) -> None:
    assert [port.alive for port in PageFile(path, is_live=False).link().ports] == [None, None]


def test_liveness_by_pid(tmp_path: Path) -> None:
    switch = FakeSwitch()
    switch.port(1).pid = 2**22 + 1  # beyond any pid that Linux gives
    path = switch.save(tmp_path / "page")
    assert [port.alive for port in PageFile(path).link().ports] == [True, False]


@pytest.mark.parametrize("pid", [0, 2**31, 2**63])
def test_absurd_pids_are_dead(tmp_path: Path, pid: int) -> None:
    switch = FakeSwitch()
    switch.port(0).pid = pid
    assert PageFile(switch.save(tmp_path / "page")).link().ports[0].alive is False


def test_liveness_by_lock(tmp_path: Path) -> None:
    switch = FakeSwitch()
    switch.port(1).pid = 2**22 + 1
    path = switch.save(tmp_path / "page")
    owner = os.open(path, os.O_RDWR)
    try:
        claim = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0x101, 1, 0)
        fcntl.fcntl(owner, fcntl.F_OFD_SETLK, claim)
        page = PageFile(path)
        # Where one port holds its lock, the lock is what counts for all.
        assert [port.alive for port in page.link().ports] == [False, True]
    finally:
        os.close(owner)
    assert [port.alive for port in page.link().ports] == [True, False]


def test_a_table_in_motion_is_read_again(path: Path) -> None:
    switch = FakeSwitch()
    switch.port(1).ram_seq = 7
    switch.save(path)
    slept = []

    def settle(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            switch.port(1).ram_seq = 8
            switch.save(path)

    port = PageFile(path, sleep=settle).link().ports[1]
    assert len(slept) == 3
    assert port.problems == ()
    assert port.segments


def test_a_table_that_never_settles_is_given_up(path: Path) -> None:
    switch = FakeSwitch()
    slept = []

    def disturb(seconds: float) -> None:
        slept.append(seconds)
        switch.port(1).ram_seq += 2
        switch.save(path)

    switch.port(1).ram_seq = 1
    switch.save(path)
    port = PageFile(path, sleep=disturb).link().ports[1]
    assert len(slept) == sharedpage.RETRIES
    assert port.segments == ()
    assert "being rewritten" in port.problems[0]


def test_a_free_port_has_no_table_to_wait_for(path: Path) -> None:
    switch = FakeSwitch()
    switch.detach(1)
    switch.port(1).ram_seq = 1
    switch.save(path)
    link = PageFile(path, sleep=lambda _: pytest.fail("waited")).link()
    assert link.ports[1].problems == ()


def test_no_such_page(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"shared page .* does not exist"):
        PageFile(tmp_path / "nothing")
    with pytest.raises(TargetError, match="directory"):
        PageFile(tmp_path)


def test_vanished_replaced_and_shrunk(path: Path) -> None:
    page = PageFile(path)
    os.truncate(path, 0x3000)
    with pytest.raises(TargetError, match="shrank"):
        page.read()
    path.unlink()
    with pytest.raises(TargetError, match="does not exist"):
        page.read()
    FakeSwitch().save(path)
    with pytest.raises(TargetError, match="replaced"):
        page.link()


def test_small_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_bytes(b"IDT")
    with pytest.raises(NtbError, match="too few"):
        PageFile(path).link()
    path.write_bytes(FakeSwitch().build()[:0x2800])
    with pytest.raises(NtbError, match="ends at 0x2800"):
        PageFile(path).link()
    path.write_bytes(os.urandom(0x8000))
    with pytest.raises(NtbError, match="not a shared page"):
        PageFile(path).link()
