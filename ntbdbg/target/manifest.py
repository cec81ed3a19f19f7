# SPDX-License-Identifier: MIT
"""run.json: what a launcher says about the lab it started, and what ntbdbg knows of it.

One file per lab, at ``runtime_root()/NAME/run.json``, written atomically with mode 0600 in
a 0700 folder. This module is shared by the launcher and the toolkit and imports the
standard library only.

`Manifest` is plain data; `Manifest.load` checks every field, because the file may be stale,
cut short, or somebody else's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import tempfile
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

from ntbdbg.errors import FormatError, TargetError

SCHEMA = 1
FILE_NAME = "run.json"
DEFAULT_LAB = "default"


@dataclass(frozen=True)
class ProcessRef:
    """A process, told apart from a later one with the same pid by its start time.

    :param start_time: field 22 of ``/proc/PID/stat``, in clock ticks since the host's boot
    """

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessRef:
        """Name the running process `pid`; raises ProcessLookupError if there is none."""
        start_time = _start_time(pid)
        if start_time is None:
            raise ProcessLookupError(pid)
        return cls(pid, start_time)

    def is_alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return _start_time(self.pid) == self.start_time


@dataclass(frozen=True)
class SegmentRecord:
    """`size` bytes of guest-physical memory at `gpa` lie in the RAM file at `offset`."""

    gpa: int
    size: int
    offset: int


@dataclass(frozen=True)
class RamRecord:
    """The RAM file of one guest, with what identifies it.

    :param path: absolute path
    :param device: ``st_dev`` of the file
    :param inode: ``st_ino`` of the file
    :param size: bytes
    """

    path: str
    device: int
    inode: int
    size: int
    segments: tuple[SegmentRecord, ...]


@dataclass(frozen=True)
class KernelRecord:
    """The kernel a guest was booted with, and the build files that describe it."""

    release: str
    image: str
    initramfs: str | None = None
    cmdline: str = ""
    vmlinux: str | None = None
    modules: str | None = None


@dataclass(frozen=True)
class ExitRecord:
    """How a guest's QEMU ended.

    :param code: exit code, negative for a signal as in `subprocess`; None if nobody saw it
    :param time: seconds since the epoch when that was noticed
    :param log_tail: last lines of QEMU's own output
    """

    code: int | None
    time: float
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestRecord:
    """One guest of a lab.

    :param name: what users call it: ``qemu``, ``qemu1``, ``qemu2``
    :param index: its number on the link, from 0: NT partition and position in ``number=``
    :param port: its NT port on the switch (0, 2, 4, …), None without a link
    :param process: QEMU's process, None before it started
    :param qmp: QMP socket for the toolkit; one client at a time, so open it briefly
    :param qmp_launcher: QMP socket that the launcher keeps to itself
    :param console_log: file with everything the serial console printed
    :param log: file with QEMU's own output, trace events included
    """

    name: str
    index: int
    ram: RamRecord
    qmp: str
    qmp_launcher: str
    console_log: str
    log: str
    port: int | None = None
    process: ProcessRef | None = None
    ssh_port: int | None = None
    console_port: int | None = None
    machine: str = "q35"
    arch: str = "x86_64"
    accelerator: str = "tcg"
    kernel: KernelRecord | None = None
    argv: tuple[str, ...] = ()
    exit: ExitRecord | None = None

    def is_alive(self) -> bool:
        """Whether its QEMU still runs."""
        return self.process is not None and self.process.is_alive()


@dataclass(frozen=True)
class LinkRecord:
    """The NTB switch between the guests.

    :param shared_page: file that holds the switch's state (`ntbdbg.ntb` decodes it)
    :param server: the ivshmem-server process
    :param socket: its UNIX socket
    """

    shared_page: str
    server: ProcessRef
    socket: str
    log: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A lab: its guests and their link.

    :param lab: the lab's name (``--name`` of the launcher)
    :param state: ``booted`` (processes run), ``linked`` (all guests accept ssh) or ``stopped``
    :param created: seconds since the epoch
    :param launcher: the process that started the lab and looks after it
    """

    lab: str
    state: str
    created: float
    guests: tuple[GuestRecord, ...]
    link: LinkRecord | None = None
    launcher: ProcessRef | None = None
    schema: int = field(default=SCHEMA)

    def guest(self, name: str) -> GuestRecord:
        """The guest called `name`; raises TargetError that names the others."""
        for guest in self.guests:
            if guest.name == name:
                return guest
        known = ", ".join(guest.name for guest in self.guests) or "none"
        raise TargetError(f"no guest {name!r} in lab {self.lab!r}", hint=f"it has {known}")

    def is_live(self) -> bool:
        """Whether at least one guest's QEMU still runs."""
        return any(guest.is_alive() for guest in self.guests)

    def to_json(self) -> dict[str, typing.Any]:
        """The manifest as JSON-ready data, `schema` first."""
        data = dataclasses.asdict(self)
        return {"schema": data.pop("schema"), **data}

    @classmethod
    def from_json(cls, data: object, *, path: Path | str = FILE_NAME) -> Manifest:
        """Check and convert parsed JSON; raises FormatError naming the bad field."""
        if not isinstance(data, dict):
            raise FormatError(path, None, "is not a JSON object")
        schema = data.get("schema")
        if schema != SCHEMA:
            raise FormatError(
                path,
                None,
                f"has manifest schema {schema!r}, this ntbdbg reads {SCHEMA}",
                hint="use the ntbdbg of the checkout that started the lab",
            )
        return typing.cast(Manifest, _convert(cls, data, "", path))

    def save(self, path: Path) -> None:
        """Write atomically with mode 0600, creating the folder with mode 0700."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".run-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self.to_json(), file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read `path`; raises TargetError if it is absent or not ours, FormatError if broken."""
        try:
            with path.open(encoding="utf-8") as file:
                _check_owner(path, os.fstat(file.fileno()))
                data = json.load(file)
        except FileNotFoundError:
            raise TargetError(f"{path}: no such manifest") from None
        except OSError as error:
            raise TargetError(f"{path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(path, getattr(error, "pos", None), f"is not JSON: {error}") from error
        return cls.from_json(data, path=path)


def runtime_root() -> Path:
    """The folder that holds one sub-folder per lab of this user."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return Path(base) / "ntbdbg"
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"ntbdbg-{os.getuid()}"


def lab_dir(lab: str) -> Path:
    """The private folder of the lab called `lab`: manifest, sockets, logs."""
    if not lab or lab.startswith(".") or not all(c.isalnum() or c in "._-" for c in lab):
        raise TargetError(
            f"{lab!r} cannot name a lab", hint="use letters, digits, '.', '_' and '-'"
        )
    return runtime_root() / lab


def find_labs() -> dict[str, Path]:
    """Every lab of this user that has a manifest, by name, live or not.

    A runtime root that somebody else owns, or may write to, is refused with TargetError.
    """
    root = runtime_root()
    try:
        _check_owner(root, root.stat())
        entries = sorted(root.iterdir())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise TargetError(f"{root}: {error.strerror}") from error
    return {e.name: e / FILE_NAME for e in entries if (e / FILE_NAME).is_file()}


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        raise TargetError(f"{path}: belongs to user {status.st_uid}, so it is not trusted")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise TargetError(
            f"{path}: others may write to it, so it is not trusted", hint=f"chmod go-w {path}"
        )


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, or None if the process is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command name is in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _convert(kind: object, value: object, where: str, path: Path | str) -> object:
    """Turn JSON `value` into annotation `kind`; `where` is the dotted field name."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [k for k in typing.get_args(kind) if k is not type(None)]
        return None if value is None else _convert(inner[0], value, where, path)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise FormatError(path, None, f"{where} should be a list")
        item = typing.get_args(kind)[0]
        return tuple(_convert(item, v, f"{where}[{i}]", path) for i, v in enumerate(value))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_record(kind, value, where, path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(kind, type) or not isinstance(value, kind) or isinstance(value, bool):
        name = getattr(kind, "__name__", kind)
        raise FormatError(path, None, f"{where} should be of type {name}, it is {value!r:.60}")
    if isinstance(value, int) and value < 0 and not where.endswith("code"):
        raise FormatError(path, None, f"{where} is negative: {value}")
    return value


def _convert_record(kind: type, value: object, where: str, path: Path | str) -> object:
    if not isinstance(value, dict):
        raise FormatError(path, None, f"{where or 'the manifest'} should be an object")
    hints = typing.get_type_hints(kind)
    converted = {}
    for item in dataclasses.fields(kind):
        name = f"{where}.{item.name}" if where else item.name
        if item.name in value:
            converted[item.name] = _convert(hints[item.name], value[item.name], name, path)
        elif item.default is dataclasses.MISSING:
            raise FormatError(path, None, f"{name} is missing")
    # Fields we do not know are later additions of the same schema: ignored on purpose.
    return kind(**converted)
