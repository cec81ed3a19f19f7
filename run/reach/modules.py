# SPDX-License-Identifier: MIT
"""Kernel modules of the user's own: loaded into a guest, unloaded, and loaded anew, over ssh."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError, UsageError
from run.reach import ssh

#: clients of the guest's own, of which an NTB device has one at a time; users of another first
CLIENTS = ("ntb_netdev", "ntb_transport", "ntb_perf", "ntb_tool", "ntb_pingpong")

#: what a client of the NTB calls; modules that do not can be loaded beside any
_CLIENT_CALL = b"__ntb_register_client"

#: $1 its name, $2 clients that give way, the rest parameters; the module comes by standard input
_LOAD = r"""
name=$1; clients=$2; shift 2
file=/run/$name.ko
cat > "$file" || exit 1
[ -e "/sys/module/$name" ] && { echo "$name is loaded already" >&2; exit 3; }
for client in $clients; do
    [ -e "/sys/module/$client" ] && { rmmod "$client" || exit 1; echo "$client"; }
done
before=$(dmesg | wc -l)
insmod "$file" "$@" 2> /run/insmod.log && exit 0
{ cat /run/insmod.log; dmesg | tail -n "+$((before + 1))"; } | tail -n 4 >&2
exit 1
"""

_UNLOAD = r"""
[ -e "/sys/module/$1" ] || { echo "$1 is not loaded" >&2; exit 3; }
rmmod "$1"
"""

#: exit code of either script where the module is, or is not, there already
_ALREADY = 3


@dataclass(frozen=True)
class Module:
    """A module's file.

    :param name: what the kernel calls it
    :param release: of the kernel that it is for
    :param is_client: whether it wants the NTB device for itself
    """

    path: Path
    name: str
    release: str
    is_client: bool

    @classmethod
    def read(cls, path: Path) -> Module:
        """Look into `path`; raises UsageError unless it is a module."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path}: {error.strerror}", hint="'python3 run module build DIR' makes NAME.ko"
            ) from None
        magic = re.search(rb"\0vermagic=(\S+) ", data)
        name = re.search(rb"\0name=(\w+)\0", data)
        if data[:4] != b"\x7fELF" or magic is None or name is None:
            raise UsageError(f"{path} is no kernel module", hint="give NAME.ko, as make leaves it")
        release = magic[1].decode(errors="replace")
        return cls(path, name[1].decode(), release, _CLIENT_CALL in data)

    def check(self, release: str | None, who: str) -> None:
        """Raise RunError if it is for another kernel than `release`, which `who` has."""
        if release is not None and release != self.release:
            raise RunError(
                f"{self.path} is for Linux {self.release}, {who} has {release}",
                hint="'python3 run module build DIR' with the guest's --kernel builds it anew",
            )


def load(port: int, module: Module, parameters: Sequence[str], who: str) -> list[str]:
    """Load it; gives the clients that gave way to it.

    :param port: of the guest's ssh
    :raises RunError: it is loaded already, or the kernel refuses it
    """
    clients = " ".join(CLIENTS) if module.is_client else ""
    done = _guest(port, _LOAD, [module.name, clients, *parameters], _without_dwarf(module.path))
    if done.returncode == _ALREADY:
        raise RunError(
            f"{who}: {module.name} is loaded already",
            hint="'python3 run module reload' takes it out first",
        )
    _check(done, f"{who}: {module.path.name}")
    return done.stdout.decode(errors="replace").split()


def unload(port: int, name: str, who: str, *, missing_ok: bool = False) -> bool:
    """Take a module out; False if it is not there, where that is fine."""
    done = _guest(port, _UNLOAD, [name], b"")
    if done.returncode == _ALREADY and missing_ok:
        return False
    _check(done, who)
    return True


def _guest(
    port: int, script: str, words: Sequence[str], data: bytes
) -> subprocess.CompletedProcess[bytes]:
    command = shlex.join(["sh", "-c", script, "sh", *words])
    return subprocess.run(ssh.argv(port, [command]), input=data, capture_output=True, check=False)


def _without_dwarf(path: Path) -> bytes:
    """The module for the guest: what debuggers of the host want stays on the host."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        argv = ["strip", "--strip-debug", "-o", str(target), str(path)]
        try:
            done = subprocess.run(argv, capture_output=True, check=False)
        except OSError:  # then all of it goes
            return path.read_bytes()
        return (target if done.returncode == 0 else path).read_bytes()


def _check(done: subprocess.CompletedProcess[bytes], who: str) -> None:
    if done.returncode:
        said = " / ".join(done.stderr.decode(errors="replace").strip().splitlines())
        raise RunError(
            f"{who}: {said or f'exit code {done.returncode}'}",
            hint="the guest's 'dmesg' may say more",
        )
