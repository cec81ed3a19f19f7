# SPDX-License-Identifier: MIT
"""The guests' host key: made once, kept private, in the form of their server, in their initrd."""

from __future__ import annotations

import shutil
import stat
import struct
from pathlib import Path

import pytest

from run.base.config import CHECKOUT
from run.base.errors import RunError
from run.guest import hostkey
from tests.support.newc import read_newc

SEED, PUBLIC = bytes(range(32)), bytes(range(100, 132))
KEYGEN = shutil.which("ssh-keygen")


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def pem(kind: bytes = b"ssh-ed25519") -> str:
    """A private key as OpenSSH writes it (PROTOCOL.key), without a pass phrase."""
    import base64

    public = string(kind) + string(PUBLIC)
    private = struct.pack(">II", 7, 7) + public + string(SEED + PUBLIC) + string(b"comment")
    raw = b"openssh-key-v1\0" + string(b"none") * 2 + string(b"") + struct.pack(">I", 1)
    raw += string(public) + string(private + b"\1\2")
    text = base64.encodebytes(raw).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n"


def test_dropbear_form() -> None:
    assert hostkey.dropbear_form(pem()) == string(b"ssh-ed25519") + string(SEED + PUBLIC)


@pytest.mark.parametrize("text", [pem(b"ssh-unknown"), "-----BEGIN X-----\nAAAA\n"])
def test_a_form_that_is_not_known(text: str) -> None:
    with pytest.raises(RunError, match="unknown form"):
        hostkey.dropbear_form(text)


@pytest.mark.skipif(KEYGEN is None, reason="there is no ssh-keygen")
def test_it_is_made_once_and_private(tmp_path: Path) -> None:
    key = hostkey.host_key(tmp_path / "ssh")
    assert key is not None
    assert (key[:19], len(key)) == (string(b"ssh-ed25519") + struct.pack(">I", 64), 83)
    assert stat.S_IMODE((tmp_path / "ssh" / "host_key").stat().st_mode) == 0o600
    assert hostkey.host_key(tmp_path / "ssh") == key


def test_without_ssh_keygen_guests_make_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert hostkey.host_key(tmp_path) is None
    (tmp_path / "image").write_bytes(b"archive")
    hostkey.write_initrd(tmp_path / "initrd", tmp_path / "image", None)
    assert (tmp_path / "initrd").read_bytes() == b"archive"


def test_the_initrd_has_it_in_front(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"archive")
    target = tmp_path / "initrd"
    hostkey.write_initrd(target, tmp_path / "image", b"a key")
    hostkey.write_initrd(target, tmp_path / "image", b"a key")
    data = target.read_bytes()
    assert data.endswith(b"archive")
    assert data.index(b"archive") % 4 == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    entries = read_newc(data)
    assert list(entries) == ["etc", "etc/dropbear", "etc/dropbear/host_key", "dev/console"]
    key = entries["etc/dropbear/host_key"]
    assert (stat.S_IMODE(key.mode), key.data) == (0o600, b"a key")


def test_no_room_or_no_image_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file or directory; 'python3 run build guest'"):
        hostkey.write_initrd(tmp_path / "initrd", tmp_path / "none", None)


def test_the_guest_takes_a_key_that_is_there() -> None:
    boot = (CHECKOUT / "run/guest/rootfs/etc/init.d/boot").read_text()
    assert f"[ -e /{hostkey.IN_GUEST} ] || dropbearkey" in boot
