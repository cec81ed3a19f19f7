# SPDX-License-Identifier: MIT
"""Labs that were attached to, among those of this user: written, and forgotten again."""

from __future__ import annotations

import os
import shutil

from ntbdbg.errors import TargetError, UsageError
from ntbdbg.lab import frozenmark
from ntbdbg.lab.manifest import FILE_NAME, Manifest, lab_dir, lab_files


def save(manifest: Manifest) -> str:
    """Write it as the run.json of a lab; gives its path.

    :raises UsageError: a lab of that name exists, and its guests are others
    """
    path = os.path.join(lab_dir(manifest.lab), FILE_NAME)
    if os.path.lexists(path) and not Manifest.load(path).is_attached:
        raise UsageError(
            f"there is a lab {manifest.lab!r} already, which was not attached to",
            hint="give this one another name: --name",
        )
    manifest.save(path)
    return path


def forget(name: str | None) -> str:
    """Remove what is kept of an attached lab, the only one if `name` is None; gives its name.

    :raises UsageError: there are several, or it was not attached to
    :raises TargetError: there is none, or its guests were frozen and nobody resumed them
    """
    chosen = name or _only_one()
    path = os.path.join(lab_dir(chosen), FILE_NAME)
    manifest = Manifest.load(path)
    if not manifest.is_attached:
        raise UsageError(
            f"lab {chosen!r} was not attached to", hint="'python3 run stop' ends those it started"
        )
    folder = lab_dir(chosen)
    mark = frozenmark.read(folder)
    if mark is not None and manifest.is_live():
        raise TargetError(
            f"{' and '.join(mark.guests)} of lab {chosen!r} were frozen by ntbdbg",
            hint=f"first let them run: ntbdbg --lab {chosen} resume",
        )
    shutil.rmtree(folder)
    return chosen


def _only_one() -> str:
    found = [name for name, path in lab_files().items() if Manifest.load(path).is_attached]
    if not found:
        raise TargetError("no lab was attached to", hint="'ntbdbg attach WHICH' does that")
    if len(found) > 1:
        raise UsageError(
            f"several labs were attached to: {', '.join(found)}", hint="name one: ntbdbg detach LAB"
        )
    return found[0]
