# SPDX-License-Identifier: MIT
"""RAM files that are none, vanish, shrink, are replaced; and what reading leaves untouched."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.memory import AddressRange, RamFile, Segment
from ntbdbg.memory.file import CheckedFile, FileIdentity

MIB = 1 << 20
WHOLE = [Segment(0, MIB, 0)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sparse file of 1 MiB with one page of data at 0x10000."""
    file = tmp_path / "ram"
    with file.open("wb") as out:
        out.truncate(MIB)
        out.seek(0x10000)
        out.write(b"x" * 4096)
    return file


def open_ram(path: Path, **options: object) -> RamFile:
    return RamFile(str(path), WHOLE, name="qemu1", **options)  # type: ignore[arg-type]


def vanish(path: Path) -> None:
    path.unlink()


def shrink(path: Path) -> None:
    os.truncate(path, 4096)


def replace(path: Path) -> None:
    other = path.with_name("other")
    with other.open("wb") as file:
        file.truncate(MIB)
    other.replace(path)


USES: dict[str, Callable[[RamFile], object]] = {
    "read": lambda ram: ram.read(0x8000, 16),
    "readinto": lambda ram: ram.readinto(0x8000, memoryview(bytearray(16))),
    "view": lambda ram: ram.view(0x8000, 16),
    "write": lambda ram: ram.write(0x8000, b"x"),
    "extents": lambda ram: list(ram.extents()),
    "allocated": lambda ram: ram.allocated(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(
    ("event", "why"),
    [
        (vanish, "does not exist; its guest was stopped or never started"),
        (shrink, "shrank below its 0x100000 bytes; somebody truncated it"),
        (replace, "was replaced by another file; a new run took its place"),
    ],
)
def test_a_file_that_changes_under_us_is_a_target_error(
    path: Path, event: Callable[[Path], None], why: str, use: Callable[[RamFile], object]
) -> None:
    ram = open_ram(path)
    use(ram)
    event(path)
    with pytest.raises(TargetError) as caught:
        use(ram)
    assert str(caught.value).startswith(f"qemu1: RAM file {path} {why}")


def test_a_file_that_shrinks_between_check_and_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ram = open_ram(path)
    monkeypatch.setattr(CheckedFile, "check", lambda self: None)
    shrink(path)
    for use in (USES["read"], USES["readinto"], USES["view"]):
        with pytest.raises(TargetError, match="shrank below"):
            use(ram)


def test_a_file_that_grows_is_still_the_same(path: Path) -> None:
    ram = open_ram(path)
    os.truncate(path, 2 * MIB)
    assert ram.read(0x10000, 4) == b"xxxx"


def test_the_identity_can_be_given(path: Path) -> None:
    status = path.stat()
    right = FileIdentity(status.st_dev, status.st_ino, MIB)
    assert open_ram(path, identity=right).read(0x10000, 1) == b"x"
    with pytest.raises(TargetError, match="was replaced by another file"):
        open_ram(path, identity=right._replace(inode=right.inode + 1))
    with pytest.raises(TargetError, match="shrank below its 0x200000 bytes"):
        open_ram(path, identity=right._replace(size=2 * MIB))


def test_a_closed_file_says_so(path: Path) -> None:
    ram = open_ram(path)
    ram.close()
    ram.close()
    with pytest.raises(TargetError, match="is closed; open the lab again"):
        ram.read(0, 1)


def test_a_view_outlives_its_memory(path: Path) -> None:
    ram = open_ram(path)
    view = ram.view(0x10000, 4)
    ram.close()
    assert bytes(view) == b"xxxx"


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path, why in [
            (tmp_path, "is a directory"),
            (Path("/dev/zero"), "is a character device"),
            (fifo, "is a FIFO"),
            (tmp_path / "socket", "cannot be opened: No such device or address"),
            (tmp_path / "none", "does not exist"),
            (tmp_path / "none" / "below", "does not exist"),
        ]:
            with pytest.raises(TargetError) as caught:
                open_ram(path)
            assert f"RAM file {path} {why}" in caught.value.message
            assert caught.value.hint


def test_segments_beyond_the_file_are_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="needs 0x200000 bytes, there are 0x100000"):
        RamFile(str(path), [Segment(0, 2 * MIB, 0)])


def test_reading_neither_allocates_nor_writes(path: Path) -> None:
    before = path.stat()
    ram = open_ram(path)
    assert ram.read(0, MIB).count(b"x") == 4096
    assert ram.allocated() == before.st_blocks * 512
    assert list(ram.extents()) == [AddressRange(0x10000, 0x11000)]
    assert list(ram.extents(AddressRange(0x10800, 0x20000))) == [AddressRange(0x10800, 0x11000)]
    assert list(ram.extents(AddressRange(0x20000, 0x30000))) == []
    after = path.stat()
    assert (after.st_blocks, after.st_mtime_ns) == (before.st_blocks, before.st_mtime_ns)


def test_only_writing_opens_the_file_for_writing(path: Path) -> None:
    ram = open_ram(path)
    ram.view(0, 1)
    link = f"/proc/self/fdinfo/{ram.file.fd}"
    flags = int(Path(link).read_text().split("flags:\t")[1].split()[0], 8)
    assert flags & os.O_ACCMODE == os.O_RDONLY
    ram.write(0, b"y")
    assert ram.read(0, 1) == b"y"


def test_a_full_file_system_leaves_the_memory_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ram = open_ram(path)
    real = os.pwrite
    calls = []

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        calls.append(offset)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(fd, data[:3], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(TargetError, match=r"cannot write to RAM file .*: No space left on device"):
        ram.write(0x10000, b"abcdef")
    assert ram.read(0x10000, 6) == b"xxxxxx"


AS_NOBODY = """
import os, sys
os.setgid(65534); os.setuid(65534)
from ntbdbg.memory import RamFile, Segment
from ntbdbg.errors import TargetError
try:
    ram = RamFile(sys.argv[1], [Segment(0, 4096, 0)], name="qemu1")
    ram.write(0, b"x")
except TargetError as error:
    print(error)
"""


@pytest.mark.parametrize(("mode", "doing"), [(0o600, "read"), (0o644, "written")])
def test_without_permission_the_error_says_whose_it_is(path: Path, mode: int, doing: str) -> None:
    if os.getuid() != 0:  # the owner can take the permission from itself
        path.chmod(0o400 if doing == "written" else 0)
        with pytest.raises(TargetError, match=f"may not be {doing}: no permission"):
            open_ram(path).write(0, b"x")
        return
    path.chmod(mode)
    for folder in path.parents:
        if stat.S_ISDIR(folder.stat().st_mode) and folder.stat().st_uid == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    # The modules are handed over as text: the other user may not read the checkout.
    done = subprocess.run(
        [sys.executable, "-c", PRELOAD + AS_NOBODY, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == (
        f"qemu1: RAM file {path} may not be {doing}: no permission; "
        "run ntbdbg as user 0, who owns it\n"
    ), done.stderr


PRELOAD = "import ntbdbg.memory, ntbdbg.errors, mmap\n"
