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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path

from run.base.errors import RunError
from run.base.locks import exclusive
from run.debian.aptstate import LISTS_MAX_AGE, AptState, Suite
from run.debian.mirror import stanzas
from run.steps.steps import Step

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


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
        self._state = AptState(state, suites, keyring)
        self._downloads = downloads

    def is_fresh(self, max_age: float = LISTS_MAX_AGE) -> bool:
        """Whether the package lists at hand are of these sources and at most `max_age` s old."""
        return self._state.is_fresh(max_age)

    def refresh(self, step: Step, *, max_age: float = LISTS_MAX_AGE) -> None:
        """Fetch the package lists, unless they are fresh; see `AptState.refresh`."""
        self._state.refresh(step, max_age=max_age)

    def show(self, names: Sequence[str], version: str = "") -> list[Package]:
        """The candidates of `names`, in that order; raises RunError for an unknown one.

        :param version: the one that all of them shall have, instead of the candidates
        """
        wanted = [f"{name}={version}" if version else name for name in names]
        text = self._state.query(["apt-cache", "show", "--no-all-versions", *wanted])
        found = {s["Package"]: s for s in stanzas(text)}
        if missing := [name for name in names if name not in found]:
            if version:
                raise RunError(
                    f"the Debian archive has no {', '.join(missing)} of version {version}",
                    hint="it is going away or coming; take another version",
                )
            raise RunError(
                f"the Debian archive has no package {', '.join(missing)}",
                hint="is the mirror whole? --debian-mirror URL names another",
            )
        return [
            Package(name, s["Version"], s["SHA256"], s.get("Depends", ""))
            for name in names
            for s in [found[name]]
        ]

    def names(self, prefix: str) -> list[str]:
        """All packages whose names begin so."""
        return sorted(self._state.query(["apt-cache", "pkgnames", prefix]).split())

    def versions(self, names: Sequence[str]) -> list[Package]:
        """Every version of each of `names` that the archive has, those of one name together."""
        if not names:
            return []
        text = self._state.query(["apt-cache", "show", "--all-versions", *names])
        return [
            Package(s["Package"], s["Version"], s["SHA256"], s.get("Depends", ""))
            for s in stanzas(text)
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

    def download_source(self, step: Step, name: str, series: str = "") -> Path:
        """Download and check the source package `name`; gives its .dsc file.

        :param series: as for `source_identity`
        """
        folder = self._downloads / f"{name}-source"
        folder.mkdir(parents=True, exist_ok=True)
        # apt checks what is there already by its hash, and fetches only what differs.
        version = self.source_identity(name, series)[0]
        argv = ["apt-get", "source", "--download-only", "--only-source", f"{name}={version}"]
        with exclusive(folder.with_suffix(".lock")):
            self._state.run(step, argv, cwd=folder)
        dsc = folder / f"{name}_{re.sub(r'^[0-9]+:', '', version)}.dsc"
        if not dsc.exists():
            raise RunError(f"apt-get source {name} left no {dsc.name} in {folder}")
        return dsc

    def source_identity(self, name: str, series: str = "") -> tuple[str, str]:
        """Version of the source package `name`, and SHA256 of its .dsc, which lists all hashes.

        :param series: how its version begins (``10.2``); without it the newest
        """
        fields = self._source(name, series)
        for line in fields.get("Checksums-Sha256", "").splitlines():
            sha256, _, file = line.split() if len(line.split()) == 3 else ("", "", "")
            if file.endswith(".dsc"):
                return fields["Version"], sha256
        raise RunError(f"the signed index gives no SHA256 for the source package {name}")

    def _source(self, name: str, series: str) -> dict[str, str]:
        """The index entry of the newest version."""
        text = self._state.query(["apt-cache", "showsrc", "--only-source", name])
        entries = [fields for fields in stanzas(text) if fields.get("Package") == name]
        found = [fields for fields in entries if is_of(fields["Version"], series)]
        if not found:
            there = sorted({fields["Version"] for fields in entries})
            raise RunError(
                f"the Debian archive has no source package {name} {series}".rstrip(),
                hint=f"there is {', '.join(there)}" if there else None,
            )
        newer = cmp_to_key(compare)
        return max(found, key=lambda fields: newer(fields["Version"]))

    def _fetch(self, step: Step, package: Package) -> Path:
        target = self._downloads / f"{package.sha256}.deb"
        if target.exists() and _sha256(target) == package.sha256:
            return target
        scratch = self._downloads / f"{package.name}.{os.getpid()}"
        scratch.mkdir(exist_ok=True)
        try:
            self._state.run(
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


def is_of(version: str, series: str) -> bool:
    """Whether a Debian version is of an upstream series: ``1:10.2.2+ds-1`` of ``10.2``."""
    upstream = re.sub(r"^[0-9]+:", "", version)
    begins = re.match(rf"{re.escape(series)}(?![0-9])", upstream) is not None
    return not series or version == series or begins


def compare(one: str, other: str) -> int:
    """Order of two Debian versions: negative, 0, positive."""

    def holds(relation: str) -> bool:
        argv = ["dpkg", "--compare-versions", one, relation, other]
        return subprocess.run(argv, check=False).returncode == 0

    return holds("gt") - holds("lt")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
