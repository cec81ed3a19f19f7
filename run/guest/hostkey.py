# SPDX-License-Identifier: MIT
"""One ssh host key for all guests of a user, so that a client that knows one of them knows all.

It is made once, by OpenSSH, and kept in the cache in the form that the guests' server, dropbear,
reads. A guest finds it in its first root file system: a small archive in front of the image's own.
Where there is no ssh-keygen, guests make keys of their own, as they do without that file.
"""

from __future__ import annotations

import base64
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from run.base.config import cache_dir
from run.base.errors import RunError
from run.base.locks import exclusive
from run.guest import cpio

#: where the guest's server looks for its key
IN_GUEST = Path("etc/dropbear/host_key")

_KIND = b"ssh-ed25519"
_MAGIC = b"openssh-key-v1\0"


def host_key(folder: Path | None = None) -> bytes | None:
    """The key in dropbear's form; None if there is none and none can be made.

    :param folder: where it is kept, by default in the user's cache
    """
    path = (folder or cache_dir() / "ssh") / "host_key"
    with exclusive(path.with_suffix(".lock")):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        key = _make()
        if key is not None:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(key)
        return key


def write_initrd(target: Path, initramfs: Path, key: bytes | None) -> None:
    """`initramfs` as `target`, with the key in front of it; only its owner may read that.

    The kernel unpacks archives that follow each other
    (Documentation/driver-api/early-userspace/buffer-format.rst).
    """
    try:
        target.unlink(missing_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file, initramfs.open("rb") as source:
            if key is not None:
                file.write(_archive(key))
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise RunError(
            f"cannot make {target} of {initramfs}: {error.strerror}",
            hint="'python3 run build guest' makes the latter; see whether there is room",
        ) from error


def _archive(key: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / IN_GUEST
        file.parent.mkdir(parents=True)
        file.touch(mode=0o600)
        file.write_bytes(key)
        return b"".join(cpio.archive(Path(folder)))


def _make() -> bytes | None:
    program = shutil.which("ssh-keygen")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        argv = [program, "-q", "-t", "ed25519", "-N", "", "-C", "ntbdbg guests", "-f", str(path)]
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        return dropbear_form(path.read_text()) if done.returncode == 0 else None


def dropbear_form(text: str) -> bytes:
    """An OpenSSH private key as dropbear keeps it: kind, then seed and public key as one string.

    OpenSSH: PROTOCOL.key; dropbear: ``buf_put_ed25519_priv_key`` (src/ed25519.c).
    """
    body = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    raw = base64.b64decode(body)
    if not raw.startswith(_MAGIC):
        raise RunError("ssh-keygen's private key is of an unknown form")
    fields = _strings(raw[len(_MAGIC) :], 3)  # cipher, key derivation and its options: none
    _, private = _strings(fields[3][4:], 1)  # behind the number of keys: the public key
    (section,) = _strings(private, 1)[:1]
    kind, _, pair = _strings(section[8:], 3)[:3]  # behind two check numbers
    if kind != _KIND or len(pair) != 64:
        raise RunError("ssh-keygen's private key is of an unknown form")
    return _string(_KIND) + _string(pair)


def _strings(data: bytes, count: int) -> list[bytes]:
    """The first `count` strings (length, then bytes; RFC 4251), and what follows them."""
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return [*found, data]


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
