# SPDX-License-Identifier: MIT
"""A private apt: own sources, lists and cache, so that the user's apt state stays as it is.

Everything it hands out was checked against hashes that Debian signed: apt checks the Release
file with the installed archive keyring and the index by the Release file, we check each
package by the index, also when it comes from our own cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path

from run.debian.mirror import Mirror, stanzas
from run.errors import HostError, RunError
from run.locks import exclusive
from run.steps import Step, StepError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

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


@dataclass(frozen=True)
class Package:
    """A binary package as the signed index describes it."""

    name: str
    version: str
    sha256: str
    depends: str = ""


class Apt:
    """apt on `suites`, with its state in the folder `state` and downloads in `downloads`."""

    def __init__(
        self, state: Path, downloads: Path, suites: Sequence[Suite], *, keyring: Path = KEYRING
    ) -> None:
        self._state = state
        self._downloads = downloads
        self._sources = "\n".join(suite.stanza(keyring) for suite in suites)
        self._keyring = keyring

    def is_fresh(self, max_age: float = LISTS_MAX_AGE) -> bool:
        """Whether the package lists at hand are of these sources and at most `max_age` s old."""
        stamp = self._state / "refreshed"
        try:
            same = stamp.read_text() == self._sources
            return same and time.time() - stamp.stat().st_mtime < max_age
        except OSError:
            return False

    def refresh(self, step: Step, *, max_age: float = LISTS_MAX_AGE) -> None:
        """Fetch the package lists, unless they are fresh.

        :raises HostError: there is no keyring to check them with
        :raises StepError: there are none at hand, and the mirror does not answer or is not trusted
        """
        if not self._keyring.exists():
            raise HostError(
                f"{self._keyring} is missing, so nothing from Debian can be checked",
                hint="apt-get install debian-archive-keyring",
            )
        with exclusive(self._state.with_suffix(".lock")):
            if self.is_fresh(max_age):
                return
            have_old = self.is_fresh(float("inf"))
            try:
                self._run(step, ["apt-get", "update", "--error-on=any"])
            except StepError:
                if not have_old:
                    raise
                return  # no network today: the lists at hand are old, but whole and signed
            _write(self._state / "refreshed", self._sources)

    def show(self, names: Sequence[str]) -> list[Package]:
        """The candidates of `names`, in that order; raises RunError for an unknown one."""
        text = self._query(["apt-cache", "show", "--no-all-versions", *names])
        found = {s["Package"]: s for s in stanzas(text)}
        if missing := [name for name in names if name not in found]:
            raise RunError(
                f"the Debian archive has no package {', '.join(missing)}",
                hint="its package lists are refreshed by --refresh",
            )
        return [
            Package(name, s["Version"], s["SHA256"], s.get("Depends", ""))
            for name in names
            for s in [found[name]]
        ]

    def download(self, step: Step, packages: Sequence[Package]) -> list[Path]:
        """The .deb files of `packages`, from the cache where they are there and intact."""
        self._downloads.mkdir(parents=True, exist_ok=True)
        paths = []
        for done, package in enumerate(packages):
            step.fraction(done, len(packages))
            paths.append(self._fetch(step, package))
        step.fraction(len(packages), len(packages))
        return paths

    def download_source(self, step: Step, name: str) -> Path:
        """Download and check the source package `name`; gives its .dsc file."""
        folder = self._downloads / f"{name}-source"
        folder.mkdir(parents=True, exist_ok=True)
        # apt checks what is there already by its hash, and fetches only what differs.
        version = self.source_identity(name)[0]
        argv = ["apt-get", "source", "--download-only", "--only-source", f"{name}={version}"]
        with exclusive(folder.with_suffix(".lock")):
            self._run(step, argv, cwd=folder)
        dsc = folder / f"{name}_{re.sub(r'^[0-9]+:', '', version)}.dsc"
        if not dsc.exists():
            raise RunError(f"apt-get source {name} left no {dsc.name} in {folder}")
        return dsc

    def source_identity(self, name: str) -> tuple[str, str]:
        """Version of the source package `name`, and SHA256 of its .dsc, which lists all hashes."""
        fields = self._source(name)
        for line in fields.get("Checksums-Sha256", "").splitlines():
            sha256, _, file = line.split() if len(line.split()) == 3 else ("", "", "")
            if file.endswith(".dsc"):
                return fields["Version"], sha256
        raise RunError(f"the signed index gives no SHA256 for the source package {name}")

    def _source(self, name: str) -> dict[str, str]:
        """The index entry of the newest version."""
        text = self._query(["apt-cache", "showsrc", "--only-source", name])
        found = [fields for fields in stanzas(text) if fields.get("Package") == name]
        if not found:
            raise RunError(f"the Debian archive has no source package {name}")
        newer = cmp_to_key(_compare)
        return max(found, key=lambda fields: newer(fields["Version"]))

    def _fetch(self, step: Step, package: Package) -> Path:
        target = self._downloads / f"{package.sha256}.deb"
        if target.exists() and _sha256(target) == package.sha256:
            return target
        scratch = self._downloads / f"{package.name}.{os.getpid()}"
        scratch.mkdir(exist_ok=True)
        try:
            self._run(
                step, ["apt-get", "download", f"{package.name}={package.version}"], cwd=scratch
            )
            (file,) = scratch.glob("*.deb")
            if (found := _sha256(file)) != package.sha256:
                raise RunError(
                    f"{package.name}: the download's SHA256 is {found}, the signed index says "
                    f"{package.sha256}",
                    hint="the mirror is broken or tampered with; try another",
                )
            file.replace(target)
        finally:
            for left in scratch.iterdir():
                left.unlink()
            scratch.rmdir()
        return target

    def _prepare(self) -> None:
        for folder in ("sources", "lists/partial", "cache/archives/partial"):
            (self._state / folder).mkdir(parents=True, exist_ok=True)
        _write(self._state / "sources" / "ntbdbg.sources", self._sources)
        _write(self._state / "status", "")
        _write(self._state / "apt.conf", self._configuration())

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
            "Dir::Etc::sourceparts": self._state / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": self._state,
            "Dir::State::lists": self._state / "lists",
            "Dir::State::status": self._state / "status",
            "Dir::Cache": self._state / "cache",
            "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false",
            "APT::Get::AllowUnauthenticated": "false",
            # Downloads go to folders of ours, where the sandbox user may not write.
            "APT::Sandbox::User": "root",
        }
        return "\n".join([*carried, *(f'{name} "{value}";' for name, value in ours.items())]) + "\n"

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "APT_CONFIG": str(self._state / "apt.conf"), "LC_ALL": "C"}

    def _run(self, step: Step, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        self._prepare()
        step.run(argv, cwd=cwd, env=self._environment())

    def _query(self, argv: Sequence[str]) -> str:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=self._environment(), check=False
        )
        return done.stdout


def _compare(one: str, other: str) -> int:
    """Order of two Debian versions: negative, 0, positive."""

    def holds(relation: str) -> bool:
        argv = ["dpkg", "--compare-versions", one, relation, other]
        return subprocess.run(argv, check=False).returncode == 0

    return holds("gt") - holds("lt")


def _write(path: Path, text: str) -> None:
    """Replace a file at once: another process may be reading it."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}~")
    scratch.write_text(text)
    scratch.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
