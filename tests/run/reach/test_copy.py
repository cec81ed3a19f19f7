# SPDX-License-Identifier: MIT
"""Copies, with a shell of this host in the guest's place."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from run.base.errors import RunError
from run.reach import copy
from run.reach.unpack import extract

PORT = 7001


@pytest.fixture(autouse=True)
def _guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The "guest" is a shell here."""
    monkeypatch.setattr(copy.ssh, "argv", lambda port, command: ["sh", "-c", command[0]])


def put(source: Path, target: Path | str) -> None:
    copy.put(PORT, source, source.name, str(target), "qemu1")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / 'it\'s "mine" $HOME'
    file.write_bytes(bytes(range(256)) * 40)
    file.chmod(0o751)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "in").mkdir(parents=True)
    (root / "in/file").write_text("text")
    (root / "link").symlink_to("in/file")
    return root


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


def check(copied: Path, source: Path) -> None:
    assert copied.read_bytes() == source.read_bytes()
    assert copied.stat().st_mode & 0o777 == 0o751
    assert sorted(copied.parent.glob(".copy*")) == [], "nothing is left behind"


def test_a_file_gets_a_name_or_goes_into_a_folder(source: Path, there: Path) -> None:
    put(source, there / "new name")
    check(there / "new name", source)
    put(source, f"{there}/")
    check(there / source.name, source)
    put(source, there / "new name")
    check(there / "new name", source)


def test_a_file_comes_back(source: Path, there: Path) -> None:
    assert copy.get(PORT, str(source), there / "it", "qemu1") == there / "it"
    check(there / "it", source)
    assert copy.get(PORT, str(source), there, "qemu1") == there / source.name
    check(there / source.name, source)


def test_what_lies_about_its_size_comes_whole(there: Path) -> None:
    copy.get(PORT, "/proc/self/maps", there, "qemu1")
    assert "[stack]" in (there / "maps").read_text()


def test_a_folder_both_ways(tree: Path, there: Path) -> None:
    put(tree, there)
    copy.get(PORT, str(there / "tree"), there / "back", "qemu1")
    for made in (there / "tree", there / "back"):
        assert (made / "in/file").read_text() == "text"
        assert (made / "link").readlink() == Path("in/file")
    # once more into what is there: what it has besides stays
    (there / "tree/other").write_text("stays")
    (tree / "in/file").write_text("newer")
    put(tree, there)
    assert (there / "tree/in/file").read_text() == "newer"
    assert (there / "tree/other").read_text() == "stays"


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("none", "x", "none: No such file"),
        ("tree/in/file", "no/such", "there is no folder"),
        ("tree/in/file", "tree/in/file/", "is no folder"),
        ("tree", "tree/in/file", "is no folder"),
    ],
)
def test_what_cannot_be_put(tree: Path, name: str, target: str, says: str) -> None:
    with pytest.raises(RunError, match=says):
        put(tree.parent / name, f"{tree.parent}/{target}")
    assert list(tree.parent.rglob(".copy*")) == []


def test_what_is_not_there_cannot_be_got(there: Path) -> None:
    with pytest.raises(RunError, match=r"^qemu1:/none: there is no /none"):
        copy.get(PORT, "/none", there, "qemu1")
    with pytest.raises(RunError, match="there is no folder"):
        copy.get(PORT, "/etc/passwd", there / "no/such", "qemu1")
    assert list(there.iterdir()) == []


def test_a_copy_that_breaks_off_leaves_what_was_there(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (there / "it").write_text("old")
    broken = "echo 'f 644'; echo half; echo gone >&2; exit 255"
    monkeypatch.setattr(copy.ssh, "argv", lambda port, command: ["sh", "-c", broken])
    with pytest.raises(RunError, match="gone"):
        copy.get(PORT, "/it", there, "qemu1")
    assert [(p.name, p.read_text()) for p in there.iterdir()] == [("it", "old")]


# -- what a guest may send -------------------------------------------------------------------


def archive(*members: tuple[str, str, str | bytes]) -> io.BytesIO:
    """A tar archive of (kind, name, contents or target)."""
    kinds = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}
    kinds |= {"folder": tarfile.DIRTYPE, "device": tarfile.CHRTYPE}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for kind, name, content in members:
            member = tarfile.TarInfo(name)
            member.type = kinds[kind]
            data = content if isinstance(content, bytes) else b""
            member.size = len(data)
            if isinstance(content, str):
                member.linkname = content
            tar.addfile(member, io.BytesIO(data))
    stream.seek(0)
    return stream


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "a/../../evil"])
def test_nothing_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="is refused"):
        extract(archive(("file", name, b"evil")), tmp_path / "new")
    with pytest.raises(RunError, match="is refused"):
        extract(archive(("hard", "x", name)), tmp_path / "other")
    assert not list(tmp_path.rglob("evil"))


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    sent = archive(("link", "a", str(outside)), ("file", "a/evil", b"evil"))
    with pytest.raises(OSError, match="exists"):
        extract(sent, tmp_path / "new")
    assert list(outside.iterdir()) == []


def test_devices_stay_out_and_modes_lose_what_is_special(tmp_path: Path) -> None:
    extract(archive(("device", "null", b""), ("file", "x", b"x")), tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x"]
    assert os.stat(tmp_path / "new/x").st_mode & 0o7000 == 0


@pytest.mark.parametrize("cut", [100, 700])
def test_an_archive_that_breaks_off_is_told(tmp_path: Path, cut: int) -> None:
    whole = archive(("file", "x", b"x" * 5000)).getvalue()
    with pytest.raises(RunError, match="no whole archive"):
        extract(io.BytesIO(whole[:cut]), tmp_path / "new")
