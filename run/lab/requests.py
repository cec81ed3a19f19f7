# SPDX-License-Identifier: MIT
"""Asking the process that looks after a lab to start one of its guests again.

QEMUs are children of that process, and it alone holds the lab's name. A request is a file in
the lab's private folder: it appears when somebody asks, and goes when it has been done; a
failure is left in another file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError
from run.vm.plan import LabPaths


@dataclass(frozen=True)
class StartRequest:
    """That guest `name` of the lab at `paths` be started."""

    paths: LabPaths
    name: str

    @property
    def _asked(self) -> Path:
        return self.paths.folder / f"{self.name}.start"

    @property
    def _failed(self) -> Path:
        return self.paths.folder / f"{self.name}.start-failed"

    # -- who asks ------------------------------------------------------------------------

    def make(self) -> None:
        """Ask; raises RunError if somebody has, and it is not done yet."""
        self._failed.unlink(missing_ok=True)
        try:
            self._asked.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise RunError(
                f"{self.name} is being started already", hint="'python3 run status' shows it"
            ) from None
        except OSError as error:
            raise RunError(f"cannot write {self._asked}: {error.strerror}") from error

    def withdraw(self) -> None:
        """Take it back, as far as nobody has seen it."""
        self._asked.unlink(missing_ok=True)

    def is_done(self) -> bool:
        """Whether it was done, or failed."""
        return not self._asked.exists()

    def failure(self) -> str | None:
        """Why it failed."""
        try:
            return self._failed.read_text(encoding="utf-8")
        except OSError:
            return None

    # -- who does it ---------------------------------------------------------------------

    def is_made(self) -> bool:
        """Whether somebody waits for it."""
        return self._asked.exists()

    def done(self, failure: str | None = None) -> None:
        """It was done, or could not be."""
        if failure is not None:
            self._failed.write_text(failure, encoding="utf-8")
        self._asked.unlink(missing_ok=True)
