# SPDX-License-Identifier: MIT
"""The patch journals that one user has: each lab's own, and that of files which are no guest's.

A lab's journal goes with its RAM. A file that no lab knows may outlive all of them, so its patches
are in the user's state folder, whichever lab runs meanwhile. Numbers go on from one to the other,
so that ``undo N`` means one patch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ntbdbg.errors import NtbdbgError
from ntbdbg.inspect import patch as patches
from ntbdbg.inspect.journal import Journal
from ntbdbg.lab.manifest import lab_files

if TYPE_CHECKING:
    from ntbdbg.inspect.journal import Patch
    from ntbdbg.memory.ramfile import RamFile

FILE_NAME = "patches.jsonl"


def bare_journal() -> Journal:
    """Of files that are no guest's: ``$XDG_STATE_HOME/ntbdbg/patches.jsonl``."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Journal(os.path.join(state, "ntbdbg", FILE_NAME))


def journal_beside(manifest: str) -> Journal:
    """Of the lab whose run.json this is."""
    return Journal(os.path.join(os.path.dirname(os.path.abspath(manifest)), FILE_NAME))


class Journals:
    """What `undo` and ``patch --list`` know of.

    :param manifest: path of the lab's run.json, None if there is no lab
    :param note: called with why a journal of others cannot be read
    """

    def __init__(self, manifest: str | None, note: Callable[[str], None]) -> None:
        self._note = note
        self.bare = bare_journal()
        self.own = journal_beside(manifest) if manifest else self.bare

    def apply(self, memory: RamFile, prepared: Patch, *, bare: bool) -> Patch:
        """Journal a prepared patch and store its bytes; gives it with its number.

        :param bare: whether `memory` is no guest's of the lab
        :raises TargetError: the journal or the memory cannot be written; both are as before
        """
        journal = self.bare if bare else self.own
        return patches.apply(memory, prepared, journal, above=self._last(besides=journal))

    def patches(self) -> list[Patch]:
        """All patches, oldest first."""
        return [patch for patch, _ in self._entries()]

    def undo(self, number: int | None, *, force: bool) -> Patch:
        """Take back patch `number`, or the last one; gives it; errors as `inspect.patch.undo`."""
        entries = self._entries()
        chosen = patches.pick([patch for patch, _ in entries], number)
        journal = next(journal for patch, journal in entries if patch is chosen)
        patches.undo(chosen, journal, force=force)
        return chosen

    def _entries(self) -> list[tuple[Patch, Journal]]:
        entries = [(patch, self.own) for patch in self.own.patches()]
        if self.bare is not self.own:
            try:
                entries += [(patch, self.bare) for patch in self.bare.patches()]
            except NtbdbgError as error:
                self._note(f"patches of files that are no guest's are not known: {error.message}")
        return sorted(entries, key=lambda entry: (entry[0].number, entry[0].time))

    def _last(self, *, besides: Journal) -> int:
        """The highest number in any other journal that can be read."""
        paths = {self.own.path, self.bare.path, *_paths_of_labs()} - {besides.path}
        return max(map(_highest, paths), default=0)


def _paths_of_labs() -> list[str]:
    try:
        return [journal_beside(path).path for path in lab_files().values()]
    except NtbdbgError:
        return []


def _highest(path: str) -> int:
    try:
        return max((patch.number for patch in Journal(path).patches()), default=0)
    except NtbdbgError:
        return 0
