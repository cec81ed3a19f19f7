# SPDX-License-Identifier: MIT
"""The folder of an apt of our own: sources, lists, configuration; the user's stay as they are."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import HostError, RunError
from run.base.locks import exclusive
from run.debian.mirror import Mirror
from run.debian.sandbox import AS_ROOT, lent, sandbox_user
from run.steps.steps import Step, StepError

#: seconds until package lists are fetched anew
LISTS_MAX_AGE = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Suite:
    """A part of an archive: ``bookworm`` of the main one, say."""

    mirror: Mirror
    name: str
    types: str = "deb"

    def stanza(self, keyring: Path) -> str:
        """This suite as a deb822 source, signed by `keyring`."""
        fields = {
            "Types": self.types,
            "URIs": self.mirror.uri,
            "Suites": self.name,
            "Components": "main",
            "Signed-By": str(keyring),
            **self.mirror.options,
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


class AptState:
    """An apt that knows `suites` alone and keeps everything in `folder`."""

    def __init__(self, folder: Path, suites: Sequence[Suite], keyring: Path) -> None:
        self._folder = folder
        self._sources = "\n".join(suite.stanza(keyring) for suite in suites)
        self._keyring = keyring
        uris = [suite.mirror.uri.partition(":") for suite in suites]
        self._local = [Path(path) for scheme, _, path in uris if scheme in ("file", "copy")]

    def is_fresh(self, max_age: float = LISTS_MAX_AGE) -> bool:
        """Whether the package lists at hand are of these sources and at most `max_age` s old."""
        stamp = self._folder / "refreshed"
        try:
            same = stamp.read_text() == self._sources and self._is_configured()
            return same and time.time() - stamp.stat().st_mtime < max_age
        except OSError:
            return False

    def refresh(self, step: Step, *, max_age: float = LISTS_MAX_AGE) -> None:
        """Fetch the package lists, unless they are fresh.

        :raises HostError: there is no keyring to check them with
        :raises StepError: there are none at hand, and the mirror does not answer or is not trusted
        :raises RunError: the mirror has no such suite
        """
        if not self._keyring.exists():
            raise HostError(
                f"{self._keyring} is missing, so nothing from Debian can be checked",
                hint="apt-get install debian-archive-keyring",
            )
        with exclusive(self._folder.with_suffix(".lock")):
            if self.is_fresh(max_age):
                return
            have_old = self.is_fresh(float("inf"))
            try:
                self.run(step, ["apt-get", "update", "--error-on=any"])
            except StepError as error:
                if not have_old:
                    raise _explained(error) from error
                return  # no network today: the lists at hand are old, but whole and signed
            _write(self._folder / "refreshed", self._sources)

    def run(self, step: Step, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """Run a program of apt's as part of `step`.

        :param cwd: folder that downloads go to
        """
        self._prepare()
        with nullcontext(True) if cwd is None else lent(cwd) as usable:
            words = list(argv) if usable else [*argv, "-o", f"APT::Sandbox::User={AS_ROOT}"]
            step.run(words, cwd=cwd, env=self._environment())

    def query(self, argv: Sequence[str]) -> str:
        """What a program of apt's prints; nothing for what it does not know."""
        if not (self._is_configured() and self._are_ours()):
            self._prepare()  # else apt would answer from other lists
        env = {**os.environ, **self._environment()}
        return subprocess.run(argv, capture_output=True, text=True, env=env, check=False).stdout

    @property
    def _config(self) -> Path:
        return self._folder / "apt.conf"

    def _is_configured(self) -> bool:
        """Whether there is a configuration for this folder: one that was moved has another's."""
        try:
            return self._state_line in self._config.read_text().splitlines()
        except OSError:
            return False

    def _are_ours(self) -> bool:
        """Whether nobody has put other sources here since: who wants packages wants no sources."""
        try:
            return self._sources_file.read_text() == self._sources
        except OSError:
            return False

    @property
    def _sources_file(self) -> Path:
        return self._folder / "sources" / "ntbdbg.sources"

    @property
    def _state_line(self) -> str:
        return f'Dir::State "{self._folder}";'

    def _prepare(self) -> None:
        for folder in ("sources", "lists/partial", "cache/archives/partial"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        _write(self._sources_file, self._sources)
        _write(self._folder / "status", "")
        _write(self._config, self._configuration())

    def _configuration(self) -> str:
        """Ours, and of the user's only how to reach servers (proxies, timeouts, certificates)."""
        dump = subprocess.run(
            ["apt-config", "dump"], capture_output=True, text=True, check=False
        ).stdout
        carried = [line for line in dump.splitlines() if line.startswith("Acquire::")]
        ours = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self._folder / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": self._folder,
            "Dir::State::lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowWeakRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            "APT::Get::AllowUnauthenticated": "false",
            "APT::Sandbox::User": sandbox_user([self._folder, self._keyring, *self._local]),
        }
        return "\n".join([*carried, *(f'{name} "{value}";' for name, value in ours.items())]) + "\n"

    def _environment(self) -> dict[str, str]:
        return {"APT_CONFIG": str(self._config), "LC_ALL": "C"}


def _explained(error: StepError) -> RunError:
    """The same, or what is wrong in one line where apt says that a suite is not there."""
    found = re.search(r"repository '(\S+) (\S+) Release' does not have a Release", str(error))
    if found is None:
        return error
    return RunError(
        f"{found[1]} has no suite {found[2]}",
        hint="Debian's are bookworm, trixie, sid and so on, and trixie-backports;"
        " --debian-mirror URL names another mirror",
    )


def _write(path: Path, text: str) -> None:
    """Replace a file at once: another process may be reading it."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}~")
    scratch.write_text(text)
    scratch.replace(path)
