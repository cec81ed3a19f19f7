# SPDX-License-Identifier: MIT
"""Getting missing system packages, where that is ours to do; saying how where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from enum import Enum

from run.base.errors import HostError
from run.host.packages import PURPOSES, Need, choose, install_argv, lacking, mend_command
from run.steps.steps import Step, StepError, Steps


class Policy(Enum):
    """When missing packages are installed."""

    ROOT = "as root only"
    ALWAYS = "by sudo too"
    NEVER = "never"

    @classmethod
    def of(cls, *, yes: bool, no_install: bool) -> Policy:
        """From ``--yes`` and ``--no-install``; the latter wins."""
        if no_install:
            return cls.NEVER
        return cls.ALWAYS if yes else cls.ROOT


def require(steps: Steps, *purposes: str, policy: Policy = Policy.ROOT) -> None:
    """See to it that the packages for `purposes` (keys of `NEEDS`) are installed.

    :raises HostError: they are not, and the policy or this host's kind forbids to install them
    """
    missing = lacking(purposes)
    if not missing:
        return
    if shutil.which("apt-get") is None:
        names = ", ".join(need.probe for need in missing)
        raise HostError(
            f"this host lacks {names}",
            hint="install them with its package manager; only Debian and Ubuntu are mended by us",
        )
    packages = [choose(need, _is_known) for need in missing]
    as_root = os.geteuid() == 0
    may = as_root or (policy is Policy.ALWAYS and shutil.which("sudo") is not None)
    if policy is Policy.NEVER or not may:
        what = " and ".join(PURPOSES[purpose] for purpose in purposes if lacking([purpose]))
        count = f"{len(packages)} system package{'s'[: len(packages) > 1]}"
        raise HostError(
            f"to {what} this host lacks {count}",
            hint=mend_command(packages),
        )
    _install(steps, packages, as_root=as_root)
    if still := lacking(purposes):
        raise HostError(f"apt-get did not install {_names(still)}", hint="'apt-get -f install' may")


def mend(missing: Sequence[Need]) -> str | None:
    """The one command that gets `missing` on this host; None if nothing is, or we know none."""
    if not missing or shutil.which("apt-get") is None:
        return None
    packages = [choose(need, _is_known) for need in missing]
    return mend_command(packages)


def _install(steps: Steps, packages: Sequence[str], *, as_root: bool) -> None:
    steps.say(f"installing system packages: {' '.join(packages)}")
    with steps.step("host: install packages") as step:
        _update(step, as_root=as_root)
        _apt_get(step, install_argv(packages), as_root=as_root)


def _update(step: Step, *, as_root: bool) -> None:
    # One broken source of the user's must not keep us from packages that another one has.
    try:
        _apt_get(step, ["apt-get", "update"], as_root=as_root)
    except StepError as error:
        step.note(str(error))


def _apt_get(step: Step, argv: list[str], *, as_root: bool) -> None:
    # Another apt-get at work, such as the nightly one, is waited for.
    quiet = [argv[0], "-q", "-o", "DPkg::Lock::Timeout=300", *argv[1:]]
    setting = "DEBIAN_FRONTEND=noninteractive"
    # sudo asks for a password on the terminal, not on the pipe that we read
    step.run([*([] if as_root else ["sudo"]), "env", setting, *quiet])


def _is_known(package: str) -> bool:
    argv = ["apt-cache", "show", package]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def _names(needs: Sequence[Need]) -> str:
    return ", ".join(need.package for need in needs)
