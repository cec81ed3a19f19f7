# SPDX-License-Identifier: MIT
"""What a command works with: the lab, the output mode, and where words go."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import ntbdbg
from ntbdbg.errors import AmbiguousError, UntrustedError

if TYPE_CHECKING:
    from rich.console import Console

    from ntbdbg.budget import Budget
    from ntbdbg.lab.guest import Guest
    from ntbdbg.lab.lab import Lab
    from ntbdbg.lab.place import GuestLike, LabLike, Place
    from ntbdbg.memory.base import PhysicalMemory
    from ntbdbg.memory.segments import AddressRange


class AppContext:
    """The options that every command shares, and what follows from them.

    Results go to `out` (bytes), `write` (text) or `emit` (JSON), all of them stdout; words
    about results go through `note`, to stderr.

    :ivar is_session: a user asks many things one after the other, so no budget spans them
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ
        self.json = False
        self.freeze = False
        self.debug = False
        self.color_mode = "auto"
        self.where: str | None = None
        self.lab_name: str | None = None
        self.machine: str | None = None
        self.segments: str | None = None
        self.symbols: str | None = None
        self.which_kernel: int | None = None
        self._lab: Lab | None = None
        self.is_session = False
        self._budget: Budget | None = None
        self._told: set[str] = set()

    @property
    def lab(self) -> Lab:
        """The lab that the options and the environment name, opened on first use."""
        if self._lab is None:
            self._lab = self.open_lab()
        return self._lab

    def open_lab(self) -> Lab:
        """That lab once more, for whoever closes it."""
        return ntbdbg.open(self.where, lab=self.lab_name, **self._lab_options())

    def _lab_options(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "segments": self.segments,
            "symbols": self.symbols,
            "which_kernel": self.which_kernel,
            "notify": self.note,
            "budget": self.budget,
        }

    def budget(self) -> Budget | None:
        """What this command may spend on the guests' word; a session asks anew each time."""
        if self._budget is None and not self.is_session:
            from ntbdbg.budget import Budget

            self._budget = Budget()
        return self._budget

    def guest(self, name: str) -> Guest:
        """The guest called `name` of that lab, or the file at that path, whatever labs run."""
        guest = self.lab_for(name).guest(name)
        if self.lab.manifest is None and guest.record is not None and guest.lab.capture is None:
            # The RAM file of a lab's guest says which lab is meant.
            self._lab = self.lab.home(guest)
        return guest

    def lab_for(self, word: str) -> Lab:
        """The lab that knows what `word` names; a file or a capture needs none that runs."""
        from ntbdbg.lab.capturelabs import in_capture

        try:
            return self.lab
        except (AmbiguousError, UntrustedError) as error:
            if os.sep not in word and not in_capture(word):
                raise
            if isinstance(error, UntrustedError):
                if self._is_named:
                    raise
                self.note(f"no labs are looked for: {error.message} ({error.hint})")
            self._lab = self._no_lab()
            return self._lab

    @property
    def _is_named(self) -> bool:
        """Whether somebody said which lab is meant."""
        from ntbdbg.lab.where import FROM_VARIABLE, LAB_VARIABLE

        named = self.environ.get(FROM_VARIABLE) or self.environ.get(LAB_VARIABLE)
        return bool(self.where or self.lab_name or named)

    def patched_lab(self) -> Lab:
        """The lab whose patches are meant; while that is open, those of bare RAM files alone."""
        try:
            return self.lab
        except AmbiguousError as error:
            self._lab = self._no_lab()
            if not self._lab.patches():
                raise
            self.note(f"{error.message}: these are patches of bare RAM files ({error.hint})")
            return self._lab

    def _no_lab(self) -> Lab:
        """Files named by their paths, whatever labs run."""
        return ntbdbg.open_files(**self._lab_options())

    @property
    def names(self) -> tuple[str, ...]:
        """The guests' names; none while it is open which lab is meant."""
        try:
            return self.lab.names
        except (AmbiguousError, UntrustedError):
            return ()

    @contextlib.contextmanager
    def stillness(self) -> Iterator[None]:
        """Freeze the lab for the duration of the block if the user asked for ``--freeze``."""
        if not self.freeze:
            yield
            return
        with self.lab.frozen():
            yield

    @property
    def out(self) -> BinaryIO:
        """stdout for bytes."""
        return sys.stdout.buffer

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at stdout."""
        return sys.stdout.isatty()

    @property
    def color(self) -> bool:
        """Whether stdout may carry colours."""
        if self.color_mode != "auto":
            return self.color_mode == "always"
        plain = self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb"
        return self.is_terminal and not plain

    def write(self, text: str) -> None:
        """Print a line of results."""
        sys.stdout.write(text + "\n")

    def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Print one JSON document on one line: `kind` and schema first (docs/json.md)."""
        from ntbdbg.render.json import document

        self.write(document(kind, data))
        if self.is_terminal:
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say something about the results, on stderr."""
        from ntbdbg.render.text import printable, say

        sys.stdout.flush()
        say(f"note: {printable(text)}\n")

    def note_lab(self, lab: LabLike) -> None:
        """Name a lab that is about to be changed, if nobody did and it is not the default one."""
        from ntbdbg.lab.manifest import DEFAULT_LAB

        if not self._is_named and lab.name not in (None, DEFAULT_LAB):
            self.note(f"lab {lab.name!r}: {lab.how}")

    def note_tearing(self, *guests: GuestLike) -> None:
        """Tell a person at a terminal that running guests change while they are read."""
        if not self.is_terminal or self.freeze:
            return
        for guest in guests:
            if guest.record is not None and guest.is_live:
                self.note(f"{guest.name} runs while it is read; --freeze holds the lab still")

    def note_place(self, place: Place, size: int) -> None:
        """Say where `size` bytes at `place` really are, if its expression does not."""
        from ntbdbg.render.place import place_note

        text = place_note(place, size)
        if text:
            self.note(text)
        if place.guest.is_assumed and not place.is_virtual:
            from ntbdbg.lab.rom import rom_note

            doubt = rom_note(place.guest, place.address, size)
            if doubt:
                self.note(doubt)

    def note_left_out(self, name: str, memory: PhysicalMemory, *within: AddressRange) -> None:
        """Tell, after it was looked through, that parts of it cannot be read.

        :param within: where was looked; all of it by default
        """
        size = sum(map(memory.left_out, within or (None,)))
        if size:
            from ntbdbg.units import format_size

            self.lab.note(f"{format_size(size)} of {name} cannot be read, and were passed over")

    def note_partial(self, guest: Guest, partial: str | None) -> None:
        """Tell that more may exist than was shown, and why."""
        if partial is not None:
            self._told.add(partial)
            self.note(f"{guest.name}: this is not all: {partial}")

    def look_again(self) -> None:
        """A command that goes on for ever begins its next look, with all it may spend."""
        if self._budget is not None:
            self._budget.renew()

    def note_spent(self) -> None:
        """Tell that the guest made the command stop somewhere, if nobody has."""
        reason = self._budget.spent if self._budget is not None else None
        if reason is not None and reason not in self._told:
            self.note(f"this is not all: {reason}")

    def console(self) -> Console:
        """A rich console on stdout that obeys the colour rules; wide when nobody looks."""
        from ntbdbg.render.console import make_console

        return make_console(sys.stdout, color=self.color)

    def close(self) -> None:
        """Close the lab, if it was opened."""
        if self._lab is not None:
            self._lab.close()
            self._lab = None
