# SPDX-License-Identifier: MIT
"""Which lab, and which of its guests, a command means."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from ntbdbg.errors import NtbdbgError, TargetError, UntrustedError
from ntbdbg.lab import frozenmark, trust
from ntbdbg.lab.manifest import (
    DEFAULT_LAB,
    FILE_NAME,
    GuestRecord,
    Manifest,
    find_labs,
    lab_dir,
    runtime_root,
)
from run.base.errors import RunError, UsageError
from run.lab.lab import lab_paths
from run.lab.name import is_there
from run.lab.status import ask_qemu
from run.vm.plan import LabPaths

START_ONE = "'python3 run vms' starts one"


def paths_of(name: str) -> LabPaths:
    """Paths of the lab called `name`; raises UsageError if no lab can have that name."""
    try:
        return lab_paths(lab_dir(name))
    except NtbdbgError as error:
        raise UsageError(error.message, hint=error.hint) from error


def names() -> list[str]:
    """Every lab of this user that has a run.json; not those that were attached to."""
    try:
        return [name for name, path in find_labs().items() if not _is_attached(path)]
    except NtbdbgError as error:
        raise RunError(error.message, hint=error.hint) from error


def folders() -> list[str]:
    """Every name of this user that has files, also of a lab that never got a run.json."""
    root = runtime_root()
    try:
        trust.check_root(root)
        own = (entry for entry in root.iterdir() if entry.is_dir() and entry.name[:1] != ".")
        return sorted(entry.name for entry in own if not _is_attached(entry / FILE_NAME))
    except UntrustedError as error:
        raise RunError(error.message, hint=error.hint) from error
    except OSError:
        return []


def _is_attached(path: Path) -> bool:
    """Whether a run.json is of guests that ntbdbg attached to, which are not ours to care for."""
    try:
        return Manifest.load(path).is_attached
    except NtbdbgError:
        return False


def refuse_attached(name: str) -> None:
    """Raise RunError if ntbdbg attached to the guests of that lab, and no launcher started them."""
    if _is_attached(paths_of(name).manifest):
        raise RunError(
            f"the guests of lab {name!r} were not started here: ntbdbg attached to them",
            hint=f"'ntbdbg detach {name}' forgets the lab, and they go on",
        )


def load(name: str) -> Manifest:
    """The run.json of a lab; raises RunError that says what to do."""
    refuse_attached(name)
    paths = paths_of(name)
    try:
        if is_there(paths):
            return Manifest.load(paths.manifest)
        raise TargetError(f"no lab {name!r}")
    except UntrustedError as error:
        raise RunError(error.message, hint=error.hint) from error
    except NtbdbgError as error:
        if name not in names():
            known = names()
            hint = f"there are {', '.join(known)}" if known else START_ONE
            raise RunError(f"no lab {name!r}", hint=hint) from error
        raise RunError(error.message, hint=f"'python3 run stop --name {name}' cleans up") from error


def choose(name: str | None) -> Manifest:
    """The named lab, else the only one that runs, else the default one."""
    if name is not None:
        return load(name)
    live = [manifest for manifest in map(_load_or_none, names()) if manifest and manifest.is_live()]
    if len(live) > 1:
        running = ", ".join(manifest.lab for manifest in live)
        raise UsageError(f"several labs run: {running}", hint="name one by --name")
    return live[0] if live else load(DEFAULT_LAB)


def guest(manifest: Manifest, which: str) -> GuestRecord:
    """A guest by number from 1 or by name; raises UsageError that lists them."""
    for record in manifest.guests:
        if which in (record.name, str(record.index + 1)):
            return record
    known = ", ".join(f"{g.index + 1} ({g.name})" for g in manifest.guests)
    raise UsageError(f"no guest {which!r} in lab {manifest.lab!r}", hint=f"it has {known}")


def running_guest(name: str | None, which: str) -> GuestRecord:
    """A guest that can be talked to; raises RunError if it does not run."""
    return running_of(name, which)[1]


def running_of(name: str | None, which: str) -> tuple[Manifest, GuestRecord]:
    """A guest that runs, and its lab; raises RunError if it does not run.

    A lab that nobody named, and that is not the default one, is told on stderr.
    """
    manifest = choose(name)
    if name is None and manifest.lab != DEFAULT_LAB:
        with suppress(OSError):  # nobody hears it
            print(f"run: lab {manifest.lab!r}, the only one that runs", file=sys.stderr, flush=True)
    record = guest(manifest, which)
    if not record.is_alive():
        raise RunError(
            f"{record.name} of lab {manifest.lab!r} does not run",
            hint="'python3 run status' shows how it ended",
        )
    return manifest, record


def reachable_guest(name: str | None, which: str) -> tuple[GuestRecord, int]:
    """A guest that runs, and the port of its ssh; raises RunError if it cannot answer there."""
    record = running_guest(name, which)
    refuse_paused(record)
    if record.ssh_port is None:
        raise RunError(
            f"{record.name} has no port forwarded to its ssh",
            hint=f"'python3 run console {which}' reaches it without network",
        )
    return record, record.ssh_port


def refuse_paused(record: GuestRecord) -> None:
    """Raise RunError if the guest stands still, so that nothing in it would answer."""
    state = ask_qemu(record)
    if state in STILL:
        go_on = GO_ON
        if record.name in frozenmark.paused(Path(record.qmp).parent):
            go_on = f"'python3 run continue {record.index + 1}' lets it go on"
        why = f"{record.name} is {STILL[state]}, so it does not answer"
        raise RunError(why, hint=f"{go_on}; ntbdbg reads its memory meanwhile")


#: states of QEMU in which no guest code runs, in words
STILL = {
    "paused": "paused",
    "prelaunch": "not started yet",
    "postmigrate": "stopped after a migration",
    "internal-error": "stopped by an error of QEMU",
    "io-error": "stopped by an error of a disk",
}
GO_ON = "'ntbdbg resume' lets it go on"


def _load_or_none(name: str) -> Manifest | None:
    try:
        return load(name)
    except RunError:
        return None
