# SPDX-License-Identifier: MIT
"""The private apt for one Debian release, by way of the mirror that this host uses."""

from __future__ import annotations

from contextlib import suppress

from run.base.config import Paths
from run.base.errors import HostError
from run.debian.apt import Apt
from run.debian.aptstate import LISTS_MAX_AGE, Suite
from run.debian.mirror import Mirror, find_mirror, os_release, read_sources
from run.steps.steps import Steps


def open_apt(paths: Paths, suite: str, mirror: str | None, *, types: str = "deb") -> Apt:
    """An apt on `suite`, and on its security updates where the host knows their mirror.

    :param mirror: URL of a Debian mirror instead of the host's
    :param types: ``deb``, or ``deb deb-src`` for sources too
    :raises HostError: no mirror is given, and the host names none
    """
    suites = [Suite(found, name, types) for name, found in _mirrors(suite, mirror).items()]
    return Apt(paths.cache / "apt" / suite, paths.cache / "downloads", suites)


#: suites whose security updates go into themselves
_ROLLING = {"sid", "unstable", "experimental"}


#: suites beside a release, which have no security suites of their own
_ADDED = ("-backports", "-backports-sloppy", "-updates", "-proposed-updates")


def _mirrors(suite: str, mirror: str | None) -> dict[str, Mirror]:
    if mirror is not None:
        return {suite: Mirror(mirror)}
    sources, release = read_sources(), os_release()
    codename = release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""
    if suite.endswith("-security"):
        return {suite: find_mirror(sources, codename, security=True)}
    mirrors = {suite: find_mirror(sources, codename)}
    if suite in _ROLLING or suite.endswith(_ADDED):
        return mirrors
    with suppress(HostError):  # a bare installation lists only the main archive, which is whole
        mirrors[f"{suite}-security"] = find_mirror(sources, codename, security=True)
    return mirrors


def refresh(steps: Steps, apt: Apt, name: str, *, max_age: float = LISTS_MAX_AGE) -> None:
    """Make the package lists of `apt` fresh, as a step only where there is something to do."""
    if not apt.is_fresh(max_age):
        with steps.step(name) as step:
            apt.refresh(step, max_age=max_age)
