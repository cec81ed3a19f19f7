# SPDX-License-Identifier: MIT
"""Our files and patches over a QEMU source tree, changing as little of the tree as possible.

`stage` makes the wanted files in a folder of their own, patches applied; `sync` brings the tree
there. Only files whose bytes differ are written, and those get a new time stamp, so that ninja
rebuilds just what depends on them. What the overlay no longer has is put back from the pristine
source, or removed.
"""

from __future__ import annotations

import filecmp
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from run.base.errors import RunError
from run.steps.steps import Step

#: the subfolder of an overlay that is not copied but applied
PATCHES = "patches"

#: written into a tree when it is whole: what of it comes from the overlay
_STATE = ".ntbdbg-overlay.json"

_HEADER = re.compile(r"^(?:---|\+\+\+) ([^\t\n]+)", re.MULTILINE)

#: parts of a source folder that are not source
NOT_SOURCE = {".git", "build", "__pycache__", _STATE}


def snapshot(overlay: Path, target: Path) -> None:
    """Copy `overlay`, so that a build and its key see the same bytes while somebody edits.

    :raises RunError: there is no such folder
    """
    if not overlay.is_dir():
        raise RunError(f"no overlay folder {overlay}", hint="is this a whole checkout?")
    shutil.copytree(overlay, target, ignore=shutil.ignore_patterns("*.pyc", "*~", ".*.sw?"))


def named(overlay: Path, *, patches: bool = True) -> list[str]:
    """Every path that `overlay` has a file for, or a patch too unless `patches` is false."""
    names = {n for n in _files(overlay) if PurePosixPath(n).parts[0] != PATCHES}
    if patches:
        for patch in (overlay / PATCHES).glob("*.patch"):
            names.update(touched(patch.read_text(encoding="utf-8", errors="replace")))
    return sorted(names)


def device_sources(overlay: Path) -> list[str]:
    """The C files of the device: those that `overlay` has or patches, QEMU's tests apart."""
    return [
        name for name in named(overlay) if name.endswith(".c") and not name.startswith("tests/")
    ]


def stage(step: Step, overlay: Path, pristine: Path, stage_dir: Path) -> set[str]:
    """Fill the empty folder `stage_dir` with every file that differs from `pristine`.

    :return: the paths concerned, relative; one that is not in `stage_dir` is to be absent
    :raises StepError: a patch does not apply
    """
    names = set()
    for name in named(overlay, patches=False):
        names.add(name)
        _copy(overlay / name, stage_dir / name)
    for patch in sorted((overlay / PATCHES).glob("*.patch")):
        for name in touched(patch.read_text(encoding="utf-8", errors="replace")):
            if name not in names and (pristine / name).is_file():
                _copy(pristine / name, stage_dir / name)
            names.add(name)
        flags = ("--batch", "--forward", "--no-backup-if-mismatch")
        step.run(["patch", "-p1", *flags, "-d", stage_dir, "-i", patch])
    return names


def touched(patch: str) -> Iterator[str]:
    """The files that `patch` names, without their first folder, as ``patch -p1`` sees them."""
    for match in _HEADER.finditer(patch):
        path = PurePosixPath(match[1].strip())
        if path == PurePosixPath("/dev/null") or len(path.parts) < 2:
            continue
        if path.is_absolute() or ".." in path.parts:
            raise RunError(f"a patch leaves the source tree: {path}")
        yield str(PurePosixPath(*path.parts[1:]))


def plant(pristine: Path, tree: Path, *, link: bool) -> None:
    """Make `tree` a copy of `pristine`, unless it is one already.

    :param link: share the bytes by hard links; `sync` never writes into a file, it replaces it
    """
    if (tree / _STATE).exists():
        return
    shutil.rmtree(tree, ignore_errors=True)
    # shutil.copytree calls it with follow_symlinks only where it copies itself
    copy = (lambda a, b: Path(b).hardlink_to(a)) if link else shutil.copy2
    ignore = shutil.ignore_patterns(*NOT_SOURCE) if not link else None
    shutil.copytree(pristine, tree, symlinks=True, copy_function=copy, ignore=ignore)
    _remember(tree, set())


def sync(pristine: Path, stage_dir: Path, names: set[str], tree: Path) -> list[str]:
    """Make `tree` equal `pristine` with `stage_dir` over it; gives the paths that changed.

    :param names: what `stage` gave
    """
    before = _remembered(tree)
    # An interrupted sync must find everything it may have touched.
    _remember(tree, before | names)
    changed = [
        name for name in sorted(before | names) if _settle(pristine, stage_dir, names, tree, name)
    ]
    _remember(tree, names)
    return changed


def follow(pristine: Path, tree: Path, names: set[str]) -> list[str]:
    """Bring edits of a living source folder into `tree`, apart from the overlay's `names`."""
    wanted = set(_files(pristine))
    changed = [n for n in sorted(wanted - names) if put(pristine / n, tree / n)]
    for name in sorted(set(_files(tree)) - wanted - names):
        (tree / name).unlink()
        changed.append(name)
    return changed


def _settle(pristine: Path, stage_dir: Path, names: set[str], tree: Path, name: str) -> bool:
    source = (stage_dir if name in names else pristine) / name
    if source.is_file():
        return put(source, tree / name)
    if (tree / name).exists():
        (tree / name).unlink()
        return True
    return False


def put(source: Path, target: Path) -> bool:
    """Give `target` the bytes of `source`; False if it has them, and then its time stays."""
    if source.is_symlink():
        if target.is_symlink() and target.readlink() == source.readlink():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(source.readlink())
        return True
    if target.is_file() and not target.is_symlink() and _same(source, target):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, scratch)
    shutil.copymode(source, scratch)
    scratch.replace(target)
    return True


def _same(source: Path, target: Path) -> bool:
    modes_agree = (source.stat().st_mode ^ target.stat().st_mode) & 0o111 == 0
    # Equal size and time mean a copy that nobody edited; anything else is read.
    return modes_agree and (
        filecmp.cmp(source, target, shallow=True) or filecmp.cmp(source, target, shallow=False)
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _files(root: Path) -> Iterator[str]:
    """Files and links below `root`, relative, without what is no source."""
    for path in sorted(root.iterdir()):
        if path.name not in NOT_SOURCE:
            yield from _below(root, path)


def _below(root: Path, path: Path) -> Iterable[str]:
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _below(root, child)
    else:
        yield str(path.relative_to(root))


def _remembered(tree: Path) -> set[str]:
    return set(json.loads((tree / _STATE).read_text(encoding="utf-8")))


def _remember(tree: Path, names: set[str]) -> None:
    scratch = tree / f"{_STATE}.new"
    scratch.write_text(json.dumps(sorted(names)), encoding="utf-8")
    scratch.replace(tree / _STATE)
