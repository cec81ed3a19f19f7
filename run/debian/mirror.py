# SPDX-License-Identifier: MIT
"""Which Debian mirror this host uses, read from the user's own apt configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from run.base.errors import HostError

#: options of a source that say how to talk to its server; the rest (keys, trust, architectures)
#: is ours to decide
_CARRIED = {
    "by-hash": "By-Hash",
    "check-date": "Check-Date",
    "check-valid-until": "Check-Valid-Until",
    "date-max-future": "Date-Max-Future",
    "inrelease-path": "InRelease-Path",
    "pdiffs": "PDiffs",
    "valid-until-max": "Valid-Until-Max",
    "valid-until-min": "Valid-Until-Min",
}

#: suites of Debian's main archive; an Ubuntu mirror has none of them
_RELEASES = {
    *("stable", "testing", "unstable", "sid", "oldstable", "oldoldstable"),
    *("bullseye", "bookworm", "trixie", "forky", "duke"),
}

#: ways to a mirror that still work tomorrow, as a CD does not
_SCHEMES = {"http", "https", "file", "copy", "mirror", "mirror+http", "mirror+https", "mirror+file"}


@dataclass(frozen=True)
class Source:
    """One entry of an apt configuration, in either format."""

    types: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mirror:
    """Where a Debian archive is, and how its server wants to be asked (deb822 fields)."""

    uri: str
    options: dict[str, str] = field(default_factory=dict)


def read_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """All sources of the apt configuration in `etc`, in apt's order."""
    found: list[Source] = []
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            found += parse_one_line(text)
        elif path.suffix == ".sources":
            found += parse_deb822(text)
    return found


def parse_one_line(text: str) -> Iterator[Source]:
    """Entries of the form ``deb [option=value …] URI suite component …``."""
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        options: dict[str, str] = {}
        head, bracket, rest = line.partition("[")
        if bracket:
            inside, _, tail = rest.partition("]")
            pairs = (pair.partition("=") for pair in inside.split())
            options = {name.lower(): value for name, _, value in pairs}
            line = f"{head} {tail}"
        words = line.split()
        if len(words) >= 3 and words[0] in ("deb", "deb-src"):
            yield Source((words[0],), (words[1],), (words[2],), tuple(words[3:]), options)


def parse_deb822(text: str) -> Iterator[Source]:
    """Entries as stanzas of ``Field: value`` lines."""
    for stanza in stanzas(text):
        fields = {name.lower(): value for name, value in stanza.items()}
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        names = ("types", "uris", "suites", "components")
        known = {*names, "enabled"}
        lists = [tuple(fields.get(name, "").split()) for name in names]
        if all(lists[:3]):
            options = {name: value for name, value in fields.items() if name not in known}
            yield Source(lists[0], lists[1], lists[2], lists[3], options)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Paragraphs of ``Field: value`` lines, continuation lines joined by newlines."""
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t" and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()


def find_mirror(sources: Iterable[Source], codename: str = "", *, security: bool = False) -> Mirror:
    """The mirror this host takes Debian's main archive (or its security archive) from.

    :param codename: the host's release if it is Debian, for releases not known here yet
    :raises HostError: the configuration names none
    """
    names = {*_RELEASES, codename} - {""}
    wanted = {f"{name}-security" for name in names} if security else names
    for source in sources:
        uris = [uri for uri in source.uris if uri.partition(":")[0] in _SCHEMES]
        has_main = "deb" in source.types and "main" in source.components
        if uris and has_main and wanted & {*source.suites}:
            return Mirror(uris[0], _carried(source.options))
    raise HostError(
        f"the apt configuration of this host names no mirror of Debian{' security' * security}",
        hint="name one with --debian-mirror URL",
    )


def _carried(options: dict[str, str]) -> dict[str, str]:
    return {_CARRIED[name]: value for name, value in options.items() if name in _CARRIED}


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The fields of os-release; empty where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}
