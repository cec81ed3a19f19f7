# SPDX-License-Identifier: MIT
"""Where the lab is: ``--from``, ``--lab`` › ``$NTBDBG_FROM``, ``$NTBDBG_LAB`` › the only › RAM."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ntbdbg.errors import AmbiguousError, NtbdbgError, TargetError, UsageError
from ntbdbg.lab.manifest import CHECKSUM_FILE, FILE_NAME, Manifest, NoLabError, lab_dir, lab_files
from ntbdbg.lab.record import Record
from ntbdbg.memory import formats
from ntbdbg.memory.file import refused
from ntbdbg.memory.owned import believed, belongs
from ntbdbg.units import PAGE

if TYPE_CHECKING:
    from ntbdbg.lab.preserved import Captures, Preserved

FROM_VARIABLE = "NTBDBG_FROM"
LAB_VARIABLE = "NTBDBG_LAB"
"""Names a lab to the launcher, too."""
BARE_FOLDER = "/dev/shm"
BARE_NAMES = ("qemu", "qemu1", "qemu2")
NO_LAB_HINT = "start one ('python3 run vms'), or give the path of a guest's RAM file or dump"
"""Where no lab is: the launcher is one way to a guest, not the only one."""


class Found(Record):
    """What the search ended in.

    :ivar manifest: None for bare RAM files
    :ivar path: of the manifest, or of the capture
    :ivar how: why this one, for people: ``the only lab that runs``
    :ivar notes: what the user should know about the choice
    :ivar image: a dump or RAM image named in place of a lab
    :ivar capture: where the manifest and everything else are from, None for a lab
    :ivar owners: users whose files the manifest of a lab may name; None where it is of no lab
    """

    manifest: Manifest | None
    path: str | None
    how: str
    notes: tuple[str, ...] = ()
    image: str | None = None
    capture: Preserved | None = None
    owners: tuple[int, ...] | None = None


NO_LAB = Found(None, None, "files named by their paths")


def find(
    where: str | None = None,
    lab: str | None = None,
    environ: Mapping[str, str] = os.environ,
    captures: Captures | None = None,
) -> Found:
    """Search in the documented order.

    :param where: path of a capture, of a run.json or the folder that holds one, of a dump
    :param lab: name of a lab of this user
    :param captures: how captures are opened; None: not at all
    :raises UsageError: several labs and none named, or both `where` and `lab`
    :raises TargetError, FormatError: what was named is absent or unusable
    """
    if where is not None and lab is not None:
        raise UsageError("--from and --lab exclude each other", hint="name the lab once")
    if where is not None:
        return _named(where, "--from", captures)
    if lab is not None:
        return _by_name(lab, f"--lab {lab}")
    if environ.get(FROM_VARIABLE):
        return _named(environ[FROM_VARIABLE], f"${FROM_VARIABLE}", captures)
    if environ.get(LAB_VARIABLE):
        return _by_name(environ[LAB_VARIABLE], f"${LAB_VARIABLE}")
    return _only_one()


def is_missing(path: str) -> bool:
    """Whether nothing is there; False where nobody may look."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def missing(path: str) -> TargetError:
    """The error for a file that a user named and that is not there."""
    return TargetError(
        f"there is no file {path}",
        hint="give the path of a RAM file, a dump or a capture, or a guest's name",
    )


def image_name(path: str) -> str:
    """What the guest in the dump at `path` is called: ``qemu1`` for ``old/qemu1.kdump``."""
    stem = os.path.basename(path).partition(".")[0]
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in stem) or "dump"


def _is_image(path: str) -> bool:
    """Whether it begins as a dump does, or has whole pages, as RAM has."""
    try:
        size = os.stat(path).st_size
    except OSError:
        return False
    return formats.sniff(path) is not None or (size > 0 and size % PAGE == 0)


def bare_files() -> dict[str, str]:
    """The caller's own RAM files at their customary places, by guest name."""
    paths = {name: os.path.join(BARE_FOLDER, name) for name in BARE_NAMES}
    return {n: path for n, path in paths.items() if os.path.isfile(path) and not _foreign(path)}


def _foreign(path: str) -> str | None:
    """Why a file is not taken that nobody named; anybody can put one into /dev/shm."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    return None if belongs(status, believed()) else f"belongs to user {status.st_uid}"


def _left_out() -> tuple[str, ...]:
    """A note for each file at those places that is not taken."""
    paths = [os.path.join(BARE_FOLDER, name) for name in BARE_NAMES]
    found = [(path, _foreign(path)) for path in paths]
    advice = "name it by its path if it is meant"
    return tuple(f"left out {path}, which {why}; {advice}" for path, why in found if why)


def _named(where: str, how: str, captures: Captures | None) -> Found:
    path = where
    if is_missing(path):
        return _running(where, how)
    if os.path.isdir(path):
        path = os.path.join(path, FILE_NAME)
        if not os.path.lexists(path):
            raise TargetError(
                f"{how} {where}: the folder holds no {FILE_NAME}",
                hint=f"give a capture, a {FILE_NAME}, the folder of a lab or a dump",
            )
    if os.path.exists(path) and not path.endswith(".json"):
        return _file(path, how, captures)
    if os.path.exists(os.path.join(os.path.dirname(path), CHECKSUM_FILE)):
        return captured(path, how, captures)
    return _lab_or_capture(path, how, captures)


def lab_at(path: str, how: str) -> Found:
    """The lab whose run.json is at `path`; errors as `Manifest.load_owned`."""
    manifest, owner = Manifest.load_owned(path)
    # Others' guests have others' files; what they must be, their numbers tell.
    return Found(manifest, path, how, owners=None if manifest.is_attached else (owner,))


def _running(which: str, how: str) -> Found:
    """A guest of this host that somebody else started, attached to for this once.

    :raises TargetError: there is neither a file nor a guest of that name; as `attach`
    """
    from ntbdbg.lab.sources.attaching import attach
    from ntbdbg.lab.sources.hostguests import host_guests
    from ntbdbg.lab.sources.which import called, matching, one_of

    found = matching(which, host_guests({}))
    if not found:
        raise TargetError(
            f"{how} {which}: there is no such file or folder, and no such guest runs here",
            hint=f"give a capture, a {FILE_NAME}, the folder of a lab, a dump, or a guest that "
            "'ntbdbg guests' lists",
        )
    guest = one_of(found)
    notes: list[str] = []
    manifest = attach([guest], called(guest), notes.append)
    return Found(manifest, None, f"{how}, QEMU process {guest.pid}", tuple(notes))


def _lab_or_capture(path: str, how: str, captures: Captures | None) -> Found:
    """A capture that lost its checksums is still one, whosever it is: it leads nowhere else."""
    try:
        return lab_at(path, how)
    except NoLabError:
        return captured(path, how, captures)
    except NtbdbgError:
        if captures is None or not captures.is_capture(os.path.dirname(path) or "."):
            raise
        return captured(path, how, captures)


def captured(path: str, how: str, captures: Captures | None) -> Found:
    """The capture at `path`; errors as `Captures.open`."""
    if captures is None:
        raise TargetError(
            f"{how} {path}: captures are not opened here", hint="ntbdbg.open() opens them"
        )
    capture = captures.open(path)
    return Found(capture.manifest, capture.path, how, capture=capture)


def _file(path: str, how: str, captures: Captures | None) -> Found:
    """A packed capture, or one guest's memory."""
    refusal = refused(path, os.stat(path))
    if refusal:
        raise TargetError(f"{how} {path}: {refusal.problem}", hint=refusal.hint)
    if captures is not None and captures.is_packed(path):
        return captured(path, how, captures)
    if not _is_image(path):
        formats.refuse_foreign(path)
        raise TargetError(
            f"{how} {path}: is not a {FILE_NAME}, no capture, no dump, and no RAM image",
            hint=f"give a capture, a {FILE_NAME}, a lab's folder or a dump",
        )
    return Found(None, None, f"{how}, a file with one guest's memory", image=path)


def _by_name(lab: str, how: str) -> Found:
    path = os.path.join(lab_dir(lab), FILE_NAME)
    known = lab_files()
    if not os.path.exists(path):
        names = ", ".join(known) or "none"
        raise TargetError(f"no lab {lab!r}", hint=f"this user's labs: {names}")
    return lab_at(path, how)


def _only_one() -> Found:
    labs: dict[str, Found] = {}
    broken: list[NtbdbgError] = []
    for name, path in lab_files().items():
        try:
            labs[name] = lab_at(path, f"the only lab, {name!r}")
        except NtbdbgError as error:
            broken.append(error)
    if broken and not labs:
        raise broken[0]
    notes = tuple(f"skipped {error.message}" for error in broken)
    live = [f for f in labs.values() if f.manifest and f.manifest.is_live()]
    candidates = live or [f for f in labs.values() if f.manifest and _has_ram(f.manifest)]
    if len(candidates) > 1:
        kind = "labs run" if live else "dead labs left their RAM"
        names = ", ".join(f.manifest.lab for f in candidates if f.manifest)
        raise AmbiguousError(
            f"several {kind}: {names}", hint="name one: --lab NAME, or --from PATH of its run.json"
        )
    if not candidates:
        dead = tuple(f"lab {n!r} does not run and its RAM files are gone" for n in labs)
        how = f"no lab; RAM files in {BARE_FOLDER}"
        return Found(None, None, how, (*notes, *dead, *_left_out()))
    found = candidates[0]
    how = (
        f"the only lab that runs, {found.manifest.lab!r}" if live and found.manifest else found.how
    )
    return Found(found.manifest, found.path, how, notes, owners=found.owners)


def _has_ram(manifest: Manifest) -> bool:
    """Whether a dead lab's RAM is still there to be looked at."""
    return any(_is_file(g.ram.path, g.ram.device, g.ram.inode) for g in manifest.guests)


def _is_file(path: str, device: int, inode: int) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (device, inode)
