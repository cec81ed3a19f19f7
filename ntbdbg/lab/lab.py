# SPDX-License-Identifier: MIT
"""The lab: the guests of one run and their link."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ntbdbg.errors import NtbError, RefusedError, TargetError, UsageError
from ntbdbg.lab import where as places
from ntbdbg.lab.address import CAPTURE_SUFFIX
from ntbdbg.lab.capturelabs import CaptureLabs
from ntbdbg.lab.guest import Guest
from ntbdbg.lab.options import DEFAULTS, LabOptions
from ntbdbg.memory.file import CheckedFile
from ntbdbg.memory.owned import believed

if TYPE_CHECKING:
    from pathlib import Path

    from ntbdbg.inspect.journal import Patch
    from ntbdbg.lab.journals import Journals
    from ntbdbg.lab.manifest import GuestRecord, LinkRecord, Manifest
    from ntbdbg.lab.options import BudgetOf
    from ntbdbg.lab.place import GuestLike
    from ntbdbg.lab.preserved import Captures, Preserved
    from ntbdbg.lab.standstill import Standstill
    from ntbdbg.ntb.model import Link
    from ntbdbg.ntb.sharedpage import SharedPage


_UNALLOWED = {
    "freeze": ("stopped or continued", "--may freeze", "; 'capture' can do without: --no-freeze"),
    "write": ("changed", "--write", ""),
}
"""What is not allowed by itself: in words, the option of ``attach``, and another way."""


class Lab:
    """Guests by name, opened when they are first asked for.

    :ivar manifest: run.json, None for bare RAM files
    :ivar path: where that manifest is
    :ivar capture: what everything comes from, None for a lab that runs or ran here
    :ivar prefix: before the names of its guests, ``before.cap:`` where a capture is an operand
    :ivar how: how the lab was found, for people
    :ivar owners: users whose RAM, page and sockets its run.json may name; None without one
    :ivar budget: gives what a command may spend on the guests' word; None: each walk for itself
    :ivar symbols: file with debug information of the guests' kernel, None if there is none
    :ivar which_kernel: number of the kernel that is meant where a RAM holds several
    :ivar notes: what was assumed, and what the user should know
    """

    def __init__(
        self,
        found: places.Found,
        options: LabOptions = DEFAULTS,
        *,
        captures: Captures | None = None,
        prefix: str = "",
    ) -> None:
        self.manifest: Manifest | None = found.manifest
        self.capture: Preserved | None = found.capture
        self.path: str | None = found.path
        self.how: str = found.how
        self.owners: tuple[int, ...] | None = found.owners
        self.prefix = prefix
        self.symbols: str | None = options.symbols
        self.which_kernel: int | None = options.which_kernel
        self.budget: BudgetOf = options.budget
        self.notes: list[str] = []
        self._found, self._options, self._captures = found, options, captures
        self._beside = CaptureLabs(self._open_capture)
        self._owners: list[Lab] = []
        self._guests: dict[str, Guest] = {}
        self._page: SharedPage | None = None
        self._still: Standstill | None = None
        for text in (*found.notes, *(found.capture.notes if found.capture else ())):
            self.note(text)

    @classmethod
    def open(
        cls,
        where: str | os.PathLike[str] | None = None,
        *,
        lab: str | None = None,
        captures: Captures | None = None,
        **options: Any,
    ) -> Lab:
        """The lab at `where` or called `lab`, else as the environment says, else the only one.

        :param where: a capture, a run.json, the folder that holds it, or a dump
        :param lab: name of one of this user's labs
        :param captures: how captures are opened, as `ntbdbg.open` hands it in; None: not at all
        :param options: see `LabOptions`
        :raises UsageError: several labs run and none is named
        :raises TargetError, FormatError: what was named is absent or unusable
        """
        path = None if where is None else os.fspath(where)
        found = places.find(path, lab, captures=captures)
        return cls(found, LabOptions(**options), captures=captures)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Guest:
        return self.guest(name)

    def __iter__(self) -> Iterator[Guest]:
        return (self.guest(name) for name in self.names)

    def close(self) -> None:
        """Give all files back."""
        for guest in self._guests.values():
            guest.memory.close()
        self._guests.clear()
        self._beside.close()
        for owner in self._owners:
            owner.close()
        self._owners.clear()
        if self.capture is not None:
            self.capture.close()
        if self._page is not None:
            self._page.close()
            self._page = None

    @property
    def name(self) -> str | None:
        """The lab's name, None for bare RAM files."""
        return self.manifest.lab if self.manifest else None

    @property
    def is_launched(self) -> bool:
        """Whether our launcher started its guests, so that it may be named as a way on."""
        return self.manifest is not None and self.manifest.launcher is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The guests' names."""
        if self.manifest:
            return tuple(record.name for record in self.manifest.guests)
        if self._found.image:
            return (places.image_name(self._found.image),)
        return tuple(places.bare_files())

    @property
    def link(self) -> LinkRecord | None:
        """What run.json says of the link, None if there is none."""
        return self.manifest.link if self.manifest else None

    @property
    def folder(self) -> Path | None:
        """The lab's private folder, None for bare RAM files and captures."""
        from pathlib import Path

        return Path(self.path).parent if self.path and self.capture is None else None

    def note(self, text: str) -> None:
        """Keep `text` for the user, once."""
        if text not in self.notes:
            self.notes.append(text)
            if self._options.notify:
                self._options.notify(text)

    def guest(self, name: str) -> Guest:
        """The guest called `name`, ``CAP:NAME`` in a capture, or the bare RAM file at that path.

        A path is told by its slash, a capture by ``.cap`` before the colon.

        :raises TargetError: no such guest (the message names the others) or RAM file
        :raises FormatError: the file cannot be a RAM file
        """
        if name not in self._guests:
            beside = self._beside.find(name)
            if beside is not None:
                lab, own_name = beside
                return lab.guest(own_name)
            self._guests[name] = self._open_guest(name)
        return self._guests[name]

    def home(self, guest: GuestLike) -> Lab:
        """The lab that `guest`, opened here, is of: another one's RAM file may be named here."""
        return next((lab for lab in self._owners if lab is guest.lab), self)

    def captured(self, path: str) -> Lab:
        """The capture at `path`, named beside this lab; errors as `guest`."""
        return self._beside.lab(path)

    def guest_of_partition(self, partition: int) -> Guest:
        """The guest on NT partition `partition`; raises NtbError if the lab has none there."""
        for record in self.manifest.guests if self.manifest else ():
            if record.index == partition:
                return self.guest(record.name)
        raise NtbError(
            f"no guest of this lab is on NT partition {partition}",
            hint="'ntbdbg info' shows the guests, 'ntbdbg windows' the ports",
        )

    def read_link(self) -> Link:
        """The state of the NTB switch right now.

        :raises NtbError: the lab has no link, or its shared page makes no sense
        :raises TargetError: the shared page is gone
        """
        return self.page().link()

    def page(self) -> SharedPage:
        """The open shared page; errors as `read_link`."""
        from ntbdbg.ntb.source import PageFile

        if self.manifest is None or self.link is None:
            raise NtbError(
                "there is no NTB link here: " + self.how,
                hint="'ntbdbg info' shows what is there; --page names a shared page by its path",
            )
        if self._page is None and self.capture is not None:
            self._page = self.capture.page()
        elif self._page is None:
            alive = self.manifest.is_live()
            self._page = PageFile(self.link.shared_page, is_live=alive, owners=self.owners)
        return self._page

    @property
    def journals(self) -> Journals:
        """Where patches are written down: the lab's journal, and that of bare files."""
        from ntbdbg.lab.journals import Journals

        self.refuse_capture("patched")
        return Journals(self.path, self.note)

    def refuse_capture(self, doing: str) -> None:
        """Raise TargetError if this is a capture, which cannot be `doing` (``patched``)."""
        if self.capture is not None:
            raise TargetError(
                f"{self.path} is a capture: it stands still for ever and cannot be {doing}",
                hint="leave out --from and its like to do that to a lab that runs",
            )

    def refuse_unallowed(self, what: str) -> None:
        """Raise RefusedError if others' guests were attached to without `what`: ``freeze``, …"""
        refusal = self._refusal(what)
        if refusal is not None:
            raise refusal

    def _refusal(self, what: str) -> RefusedError | None:
        manifest = self.manifest
        if manifest is None or self.capture is not None or what in manifest.may:
            return None
        names = " and ".join(self.names)
        done, option, else_ = _UNALLOWED[what]
        return RefusedError(
            f"somebody else started {names}, so it is not {done} before that is allowed",
            hint=f"allow it: ntbdbg attach {' '.join(self.names)} {option}{else_}",
        )

    def patches(self) -> list[Patch]:
        """Every patch of this lab and of bare files, oldest first."""
        return self.journals.patches()

    def undo(self, number: int | None = None, *, force: bool = False) -> Patch:
        """Take back patch `number`, or the last one; gives it.

        :param force: also if its bytes changed since
        :raises RefusedError: no such patch, or its bytes changed since
        """
        self.refuse_unallowed("write")
        return self.journals.undo(number, force=force)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[Standstill]:
        """Stop every guest for the duration of a ``with`` block; see `ntbdbg.lab.freeze`."""
        from ntbdbg.lab.freeze import frozen

        with frozen(self) as still:
            self._still = still
            try:
                yield still
            finally:
                self._still = None

    def stillness(self) -> Standstill | None:
        """What holds all guests still, while `frozen` does; else None."""
        return self._still

    def freeze(self) -> list[str]:
        """Stop every guest until `resume`; gives the names of those that ran."""
        from ntbdbg.lab.freeze import freeze

        return freeze(self)

    def resume(self, *names: str) -> list[str]:
        """Let every paused guest go on, or those called `names`; gives the names of who does.

        One that was never started (QEMU's ``prelaunch``) goes on only by its name.
        """
        from ntbdbg.lab.freeze import resume

        return resume(self, names)

    def _open_guest(self, name: str) -> Guest:
        if os.sep in name:
            return self._open_bare(name, name)
        guest, colon, address = name.partition(":")
        if colon and guest in self.names:
            raise UsageError(
                f"{name!r:.60} is a guest and an address in one word",
                hint=f"write two: {guest} {address:.40}",
            )
        if name.endswith(CAPTURE_SUFFIX) and name not in self.names:
            raise TargetError(f"{name}: no such capture", hint="'ntbdbg capture' makes one")
        if self.manifest:
            return self._open_recorded(self._record(name))
        image = self._found.image
        if image and name in self.names:
            return self._open_bare(name, image)
        if name in places.BARE_NAMES and not image:
            path = os.path.join(places.BARE_FOLDER, name)
            return self._open_bare(name, path, owners=believed())
        raise self._no_guest(name)

    def _no_guest(self, name: str) -> TargetError:
        """Where no manifest lists the guests: a dump is of one, else bare RAM files count."""
        known = ", ".join(self.names)
        hint = f"for the file of that name write ./{name}" if os.path.lexists(name) else None
        if self._found.image:
            found = f"no guest {name!r}: {self._found.image} is of one guest"
            return TargetError(found, hint=hint or f"it is called {known}")
        files = f", RAM files there are for {known}" if known else ""
        return TargetError(
            f"no guest {name!r}: no lab runs{files}", hint=hint or places.NO_LAB_HINT
        )

    def _record(self, name: str) -> GuestRecord:
        assert self.manifest
        if self.capture and name not in self.names:
            raise TargetError(
                f"no guest {name!r} in capture {self.capture.path}",
                hint=f"it has {', '.join(self.names)}",
            )
        return self.manifest.guest(name)

    def _open_recorded(self, record: GuestRecord) -> Guest:
        if self._options.maps_files:
            raise UsageError(
                f"--machine and --segments describe bare RAM files; the map of {record.name} "
                f"is in {self.path}",
                hint=f"leave them out, or name the file: {record.ram.path}",
            )
        if self.capture is not None:
            return self._open_captured(self.capture, record)
        from ntbdbg.lab.recorded import open_recorded

        live = record.is_alive()
        refusal = self._refusal("write")
        memory = open_recorded(record, self.owners, live=live, refusal=refusal)
        if not live:
            self.note(f"{record.name} does not run: this is the RAM it left behind")
        return Guest(record.name, memory, self, record)

    def _open_captured(self, capture: Preserved, record: GuestRecord) -> Guest:
        name = self.prefix + record.name
        guest = Guest(name, capture.memory(record, name), self, record)
        for text in capture.notes:
            self.note(text)
        return guest

    def _open_bare(self, name: str, path: str, *, owners: tuple[int, ...] | None = None) -> Guest:
        if os.sep in name and places.is_missing(path):
            raise places.missing(name)
        if os.sep not in name and not os.path.lexists(path):
            raise TargetError(
                f"no guest {name!r}: no lab runs and there is no RAM file {path}",
                hint=places.NO_LAB_HINT,
            )
        file = CheckedFile(path, name, "RAM file", owners=owners)
        recorded = None if self._options.maps_files else self._open_owned(path)
        if recorded:
            return recorded
        from ntbdbg.lab.bare import open_bare

        bare = open_bare(name, path, file, self._options, self.note)
        return Guest(name, bare.memory, self, stale=bare.stale, is_assumed=bare.is_assumed)

    def _open_owned(self, path: str) -> Guest | None:
        """The guest of a lab whose RAM file was named by its path; None if it is none."""
        from ntbdbg.lab.owners import owner_of

        owner = owner_of(path, self._found)
        if owner is None:
            return None
        found, record = owner
        assert found.manifest
        self.note(
            f"{path} is the RAM of {record.name} in lab {found.manifest.lab!r}, which is taken"
        )
        if found is self._found:
            return self.guest(record.name)
        lab = Lab(found, self._options, captures=self._captures)
        self._owners.append(lab)
        return lab.guest(record.name)

    def _open_capture(self, path: str) -> Lab:
        """The capture at `path`, as a lab beside this one."""
        found = places.captured(path, f"capture {path}", self._captures)
        mine = self._options
        options = LabOptions(notify=mine.notify, budget=mine.budget, which_kernel=mine.which_kernel)
        return Lab(found, options, captures=self._captures, prefix=f"{path}:")
