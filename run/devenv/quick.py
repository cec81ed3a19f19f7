# SPDX-License-Identifier: MIT
"""The development tree of the quick build: its own source, in the build folder."""

from __future__ import annotations

from contextlib import AbstractContextManager

from run.base.config import Paths
from run.base.errors import RunError
from run.base.locks import exclusive
from run.debian.release import refresh
from run.devenv.enter import Entered, enter
from run.devenv.finish import Finished, finish
from run.devenv.series import Series
from run.devenv.state import DevTree
from run.qemu.build import OVERLAY, choose_source, sources
from run.steps.steps import Steps
from run.steps.store import Store


def enter_quick(
    steps: Steps, paths: Paths, *, source: str | None = None, mirror: str | None = None
) -> Entered:
    """The tree of Debian's QEMU, or of `source` (see `build_qemu`)."""
    apt = sources(paths, mirror)
    refresh(steps, apt, "qemu: package lists")
    store = Store(paths.cache / "builds")
    with _alone(steps, paths):
        what = choose_source(steps, paths, apt, source, mirror)
        return enter(steps, store, what, paths.devenv, Series(), OVERLAY)


def finish_quick(steps: Steps, paths: Paths, *, dry_run: bool = False) -> Finished:
    """Take over what was committed; raises RunError if there is no tree."""
    with _alone(steps, paths):
        tree = DevTree.at(paths.devenv)
        if tree is None:
            raise RunError(
                f"{paths.devenv} is no tree that was entered",
                hint="'python3 run enter_qemu_devenv' makes one; --build-dir says where",
            )
        return finish(steps, tree, Series(), OVERLAY, dry_run=dry_run)


def _alone(steps: Steps, paths: Paths) -> AbstractContextManager[None]:
    waiting = f"waiting for another process that works on {paths.devenv} ..."
    return exclusive(paths.build / ".devenv.lock", on_wait=lambda: steps.say(waiting))
