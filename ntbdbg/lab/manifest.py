# SPDX-License-Identifier: MIT
"""run.json: what a launcher says about the lab it started, and what ntbdbg knows of it.

One file per lab, at ``runtime_root()/NAME/run.json``, written atomically with mode 0600 in
a 0700 folder. A capture holds one too, of the same schema, with `Manifest.capture` set. This
module is shared by the launcher and the toolkit and imports the standard library only.

`Manifest` is plain data; `Manifest.load` checks every field, because the file may be stale,
cut short, or somebody else's.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, cast

from ntbdbg.errors import FormatError, PathLike, TargetError
from ntbdbg.lab import trust
from ntbdbg.lab.record import Record

if TYPE_CHECKING:
    # Imported where a Path is made: it costs a tenth of the start-up of `ntbdbg dump`.
    from pathlib import Path

SCHEMA = 1
ATTACHED_SCHEMA = 2
"""Of a lab that was attached to: a reader must heed what may be done to its guests."""
SCHEMAS = (SCHEMA, ATTACHED_SCHEMA)
LAUNCHER, ATTACHED = "launcher", "attached"
ALLOWED = ("freeze", "write")
FILE_NAME = "run.json"
CHECKSUM_FILE = "checksums.json"
"""Beside it in a capture."""
DEFAULT_LAB = "default"
MAX_SIZE = 16 << 20
"""Bytes of a run.json that are read; what is longer ends too early to be JSON."""


class NoLabError(TargetError):
    """A run.json is that of a capture, which names no files and processes of this host."""

    def __init__(self, path: PathLike) -> None:
        super().__init__(
            f"{os.fspath(path)}: is the run.json of a capture, not of a lab",
            hint="'ntbdbg --from FOLDER' opens a capture",
        )


class ProcessRef(Record):
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


class SegmentRecord(Record):
    """`size` bytes of guest-physical memory at `gpa` lie in the RAM file at `offset`."""

    gpa: int
    size: int
    offset: int


class RamRecord(Record):
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


class KernelRecord(Record):
    """The kernel a guest was booted with, and the build files that describe it."""

    release: str
    image: str
    initramfs: str | None = None
    cmdline: str = ""
    vmlinux: str | None = None
    modules: str | None = None


class ExitRecord(Record):
    """How a guest's QEMU ended.

    :param code: exit code, negative for a signal as in `subprocess`; None if nobody saw it
    :param time: seconds since the epoch when that was noticed
    :param log_tail: last lines of QEMU's own output
    """

    code: int | None
    time: float
    log_tail: tuple[str, ...] = ()


class VcpuRecord(Record):
    """What one virtual processor held while it stood still.

    :param index: QEMU's number of it, which is Linux' number of the CPU
    :param registers: by lower-case name, unsigned: ``rax`` … ``r15``, ``rip``, ``rflags``;
        selectors ``cs`` … ``gs``, ``ldt``, ``tr`` and their bases ``cs_base`` …; ``gdt_base``,
        ``gdt_limit``, ``idt_base``, ``idt_limit``; ``cr0``, ``cr2``, ``cr3``, ``cr4``, ``efer``,
        ``dr0`` … ``dr7``; ``cpl``, ``halted``
    """

    index: int
    registers: dict[str, int]


class CaptureRecord(Record):
    """What makes a run.json that of a capture (docs/captures.md).

    :param version: of the capture's format
    :param started: seconds since the epoch when the first byte was copied
    :param moment: seconds since the epoch of what it shows: when all stood still
    :param standstill: seconds for which guests stood still for it
    :param consistent: whether all that could change anything stood still
    :param reason: why it was taken, for people
    :param program: what wrote it, with version
    :param notes: what whoever reads it should know
    """

    version: int
    started: float
    moment: float
    standstill: float
    consistent: bool
    reason: str = ""
    program: str = ""
    notes: tuple[str, ...] = ()


class GuestRecord(Record):
    """One guest of a lab.

    :param name: what users call it: ``qemu``, ``qemu1``, ``qemu2``
    :param index: its number on the link, from 0: NT partition and position in ``number=``
    :param port: its NT port on the switch (0, 2, 4, …), None without a link
    :param process: QEMU's process, None before it started
    :param qmp: QMP socket for the toolkit; one client at a time, so open it briefly; empty where
        none is known
    :param qmp_launcher: QMP socket that the launcher keeps to itself
    :param console_log: file with everything the serial console printed
    :param log: file with QEMU's own output, trace events included
    :param panicked: seconds since the epoch when its kernel reported a panic, until a reset
    :param state: in a capture, QEMU's run state before it was stopped, or ``dead``
    :param vcpus: in a capture, the processors' registers; none of a dead guest
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
    panicked: float | None = None
    state: str | None = None
    vcpus: tuple[VcpuRecord, ...] = ()

    def is_alive(self) -> bool:
        """Whether its QEMU still runs."""
        return self.process is not None and self.process.is_alive()


class LinkRecord(Record):
    """The NTB switch between the guests.

    :param shared_page: file that holds the switch's state (`ntbdbg.ntb` decodes it)
    :param server: the ivshmem-server process
    :param socket: its UNIX socket
    """

    shared_page: str
    server: ProcessRef
    socket: str
    log: str | None = None


class Manifest(Record):
    """A lab: its guests and their link.

    :param lab: the lab's name (``--name`` of the launcher)
    :param state: ``built`` (files are made), ``booted`` (processes run), ``linked`` (all guests
        accept ssh) or ``stopped``
    :param created: seconds since the epoch
    :param launcher: the process that started the lab and looks after it
    :param capture: only in a capture's manifest; paths are names of files in the capture then
    :param source: who started the guests: `LAUNCHER`, or somebody else and they are `ATTACHED` to
    :param may: what may be done to them: ``freeze`` (stopped and continued), ``write``
    """

    lab: str
    state: str
    created: float
    guests: tuple[GuestRecord, ...]
    link: LinkRecord | None = None
    launcher: ProcessRef | None = None
    capture: CaptureRecord | None = None
    schema: int = SCHEMA
    source: str = LAUNCHER
    may: tuple[str, ...] = ALLOWED

    @property
    def is_attached(self) -> bool:
        """Whether somebody else started its guests."""
        return self.source == ATTACHED

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

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON-ready data, `schema` first."""
        import dataclasses

        data = dataclasses.asdict(self)
        return {"schema": data.pop("schema"), **data}

    @classmethod
    def from_json(cls, data: object, *, path: PathLike = FILE_NAME) -> Manifest:
        """Check and convert parsed JSON; raises FormatError naming the bad field."""
        if not isinstance(data, dict):
            raise _broken(path, "is not a JSON object")
        schema = data.get("schema")
        if schema not in SCHEMAS:
            raise FormatError(
                path,
                None,
                f"has manifest schema {schema!r}, this ntbdbg reads {SCHEMAS[0]} and {SCHEMAS[1]}",
                hint="use the ntbdbg of the checkout that started the lab",
            )
        return cast(Manifest, _convert_record(cls, data, "", path))

    def save(self, path: PathLike) -> None:
        """Write atomically with mode 0600, creating the folder with mode 0700."""
        import json
        import tempfile

        folder = os.path.dirname(os.fspath(path)) or "."
        os.makedirs(folder, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".run-", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self.to_json(), file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path: PathLike) -> Manifest:
        """Read that of a lab; errors as `load_owned`."""
        return cls.load_owned(path)[0]

    @classmethod
    def load_owned(cls, path: PathLike) -> tuple[Manifest, int]:
        """Read that of a lab at `path`; gives it with the user whose files it may name.

        :raises UntrustedError: somebody else could have written it
        :raises NoLabError: it is that of a capture
        :raises TargetError: it is absent
        :raises FormatError: it is broken
        """
        import json  # who looks at a bare RAM file starts sooner without it

        try:
            text, owner = trust.read_believed(path, MAX_SIZE)
            data = json.loads(text)
        except FileNotFoundError:
            raise TargetError(
                f"{os.fspath(path)}: no such manifest", hint="'ntbdbg info' shows what is there"
            ) from None
        except OSError as error:
            raise TargetError(
                f"{os.fspath(path)}: {error.strerror}", hint="give a run.json that you may read"
            ) from error
        except (ValueError, RecursionError) as error:
            raise _broken(path, f"is not JSON: {error}", getattr(error, "pos", None)) from error
        manifest = cls.from_json(data, path=path)
        if manifest.capture is not None:
            raise NoLabError(path)
        return manifest, owner


def runtime_root() -> Path:
    """The folder that holds one sub-folder per lab of this user."""
    from pathlib import Path

    return Path(_runtime_root())


def lab_dir(lab: str) -> Path:
    """The private folder of the lab called `lab`: manifest, sockets, logs."""
    if not lab or lab.startswith(".") or not all(c.isalnum() or c in "._-" for c in lab):
        raise TargetError(
            f"{lab!r} cannot name a lab", hint="use letters, digits, '.', '_' and '-'"
        )
    return runtime_root() / lab


def find_labs() -> dict[str, Path]:
    """Every lab of this user that has a manifest, by name, live or not.

    :raises UntrustedError: somebody else owns the runtime root, or may write to it
    """
    from pathlib import Path

    return {name: Path(path) for name, path in lab_files().items()}


def lab_files() -> dict[str, str]:
    """As `find_labs`, with plain paths."""
    root = _runtime_root()
    try:
        trust.check_root(root)
        entries = sorted(os.listdir(root))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise TargetError(f"{root}: {error.strerror}") from error
    paths = {name: os.path.join(root, name, FILE_NAME) for name in entries}
    return {name: path for name, path in paths.items() if os.path.isfile(path)}


def _runtime_root() -> str:
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return os.path.join(base, "ntbdbg")
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"ntbdbg-{os.getuid()}")


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, or None if the process is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The command name is in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _convert(kind: str, value: Any, where: str, path: PathLike) -> Any:
    """Turn JSON `value` into annotation `kind`; `where` is the dotted field name.

    Annotations are those of the records above: ``int``, ``str``, ``float``, ``bool``, a record,
    ``tuple[X, ...]``, ``dict[str, int]``, each perhaps ``| None``.
    """
    if kind.endswith(" | None"):
        return None if value is None else _convert(kind[:-7], value, where, path)
    if kind.startswith("tuple["):
        if not isinstance(value, list | tuple):
            raise _broken(path, f"{where} should be a list")
        item = kind[len("tuple[") : -len(", ...]")]
        return tuple(_convert(item, v, f"{where}[{i}]", path) for i, v in enumerate(value))
    if kind == "dict[str, int]":
        if not isinstance(value, dict):
            raise _broken(path, f"{where} should be an object")
        return {name: _convert("int", v, f"{where}.{name}", path) for name, v in value.items()}
    scalar: type | None = _SCALARS.get(kind)
    if scalar is None:
        return _convert_record(globals()[kind], value, where, path)
    if scalar is float and type(value) is int:
        return float(value)
    if type(value) is not scalar:
        reason = f"{where} should be of type {kind}, it is {value!r:.60}"
        raise _broken(path, reason)
    if isinstance(value, int) and value < 0 and not where.endswith("code"):
        raise _broken(path, f"{where} is negative: {value}")
    return value


def _convert_record(kind: type[Record], value: Any, where: str, path: PathLike) -> Any:
    if not isinstance(value, dict):
        reason = f"{where or 'the manifest'} should be an object"
        raise _broken(path, reason)
    converted = {}
    for field, annotation in kind.__annotations__.items():
        name = f"{where}.{field}" if where else field
        if field in value:
            converted[field] = _convert(annotation, value[field], name, path)
        elif field not in kind.defaults:
            raise _broken(path, f"{name} is missing")
    # Fields we do not know are later additions of the same schema: ignored on purpose.
    return kind(**converted)


_SCALARS = {"int": int, "str": str, "float": float, "bool": bool}


def _broken(path: PathLike, reason: str, offset: int | None = None) -> FormatError:
    """The launcher is named as the way on where it writes its own files, and nowhere else."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    if root == os.path.abspath(_runtime_root()):
        hint = "'python3 run stop' clears a broken lab away, 'python3 run vms' starts a new one"
    else:
        hint = "take another copy, or have it written anew"
    return FormatError(path, offset, reason, hint=hint)
