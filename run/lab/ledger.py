# SPDX-License-Identifier: MIT
"""Keeps run.json up to date while a lab lives; each change is saved at once, atomically."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ntbdbg.lab.manifest import GuestRecord, LinkRecord, Manifest
from run.base.errors import RunError
from run.vm.machine import Machine


class Ledger:
    """The run.json of one lab."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._save()

    def state(self, state: str) -> None:
        """Note how far the lab has come."""
        self._change(state=state)

    def link(self, link: LinkRecord) -> None:
        """Note that the server runs."""
        self._change(link=link)

    def guest(self, machine: Machine, /, **changes: Any) -> None:
        """Note what is known of a guest's process now, and other changes of its record."""
        now: dict[str, Any] = {
            "process": machine.process,
            "exit": machine.exit,
            "panicked": machine.panicked,
            **changes,
        }
        self._change(
            guests=tuple(
                dataclasses.replace(record, **now) if record.name == machine.name else record
                for record in self.manifest.guests
            )
        )

    def of(self, machine: Machine) -> GuestRecord:
        """The record of a guest."""
        return self.manifest.guest(machine.name)

    def _change(self, **changes: Any) -> None:
        self.manifest = dataclasses.replace(self.manifest, **changes)
        self._save()

    def _save(self) -> None:
        try:
            self.manifest.save(self.path)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}") from error
