# SPDX-License-Identifier: MIT
"""From commits back to qemu_src: whole files where they are ours, hunks where they are QEMU's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from run.base.errors import RunError
from run.devenv.git import Git
from run.devenv.laying import export, overlay_tree
from run.devenv.patches import DIFF, read, without_headings, write
from run.qemu import overlay
from run.steps.steps import Step

_SECTION = re.compile(r"^--- (?=[^\n]*\n\+\+\+ )", re.MULTILINE)


def write_back(step: Step, git: Git, base: str, head: str, qemu_src: Path, target: Path) -> None:
    """Fill `target` with a qemu_src that laid over `base` gives `head`.

    Files of `qemu_src` that say the same already keep their bytes.

    :raises RunError: it cannot be said as an overlay
    """
    overlay.snapshot(qemu_src, target)
    changed = git.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, head)
    theirs = set(git.names("ls-tree", "-r", "-z", "--name-only", base))
    own = {n for n in changed if n not in theirs or (qemu_src / n).is_file()}
    _replace_files(git, head, own, target)
    now = overlay_tree(step, git, base, target)
    wrong = git.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", now, head)
    for name in wrong:
        _replace_hunks(git, base, head, name, target / overlay.PATCHES)
    if (
        wrong
        and overlay_tree(step, git, base, target) != git("rev-parse", f"{head}^{{tree}}").strip()
    ):
        raise RunError(
            f"{qemu_src}: its patches cannot be made to say what the commits do about"
            f" {', '.join(wrong)}",
            hint=f"see to {qemu_src / overlay.PATCHES} yourself, then enter and finish once more",
        )


def _replace_files(git: Git, head: str, own: set[str], target: Path) -> None:
    """Make the whole files of `target` those of `head`."""
    for name in overlay.named(target, patches=False):
        if name not in own:
            (target / name).unlink()
    fresh = target.with_name(f"{target.name}.fresh")
    export(git, head, sorted(own), fresh)
    for name in own:
        if (fresh / name).is_file():
            overlay.put(fresh / name, target / name)
    shutil.rmtree(fresh)
    for folder in sorted((p for p in target.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _replace_hunks(git: Git, base: str, head: str, name: str, patches: Path) -> None:
    """Bring the section about the file `name` up to date in the patch that has one."""
    section = _section(git, base, head, name)
    holders = [p for p in sorted(patches.glob("*.patch")) if name in overlay.touched(read(p))]
    if not holders:
        _new_patch(patches, name, section)
    for path in holders:
        prose, *sections = _split(read(path))
        own = [name in overlay.touched(text) for text in sections]
        kept = [text for text, mine in zip(sections, own, strict=True) if not mine]
        if path == holders[-1] and section:
            kept.insert(own.index(True), section)
        if kept:
            write(path, prose + "".join(kept))
        else:
            path.unlink()


def _section(git: Git, base: str, head: str, name: str) -> str:
    """The part of a patch that is about `name`; empty if there is no difference."""
    diff = git("diff-tree", "-r", "-p", *DIFF, base, head, "--", name)
    found = _SECTION.search(diff)
    return without_headings(diff[found.start() :]) if found else ""


def _new_patch(patches: Path, name: str, section: str) -> None:
    numbers = [int(path.name[:4]) for path in patches.glob("[0-9][0-9][0-9][0-9]-*.patch")]
    patches.mkdir(exist_ok=True)
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name)
    path = patches / f"{max(numbers, default=0) + 1:04}-{slug}.patch"
    write(path, f"Change {name}.\n\n{section}")


def _split(text: str) -> list[str]:
    """A patch's words before its first section, then each section."""
    starts = [match.start() for match in _SECTION.finditer(text)]
    return [text[a:b] for a, b in zip([0, *starts], [*starts, len(text)], strict=True)]
