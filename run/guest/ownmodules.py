# SPDX-License-Identifier: MIT
"""Modules of a kernel that the user built: where they are, what they say of themselves."""

from __future__ import annotations

import lzma
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from run.base.errors import RunError
from run.guest.bzimage import plain_module
from run.guest.modules import is_needed, plain_name

#: so many modules fit into a guest; a distribution's kernel has thousands
FEW = 200

#: parts of a kernel's source that have no modules of the kernel's own, or very many other files
_SKIPPED = {".git", "Documentation", "include", "samples", "usr"}

#: folders of an installed kernel whose modules somebody added: all of them are wanted
_ADDED = ("extra/", "updates/")

_NTB = "drivers/ntb/"


@dataclass(frozen=True)
class Module:
    """A module file.

    :param place: where it goes below ``lib/modules/RELEASE``
    """

    path: Path
    place: str

    @property
    def name(self) -> str:
        """As the kernel knows it."""
        return Path(plain_name(self.path.name) or "").stem.replace("-", "_")

    @cached_property
    def _words(self) -> dict[str, str]:
        """What its section .modinfo says."""
        try:
            data = plain_module(self.path.read_bytes())
        except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
            raise RunError(f"{self.path}: {error}", hint="build the modules anew") from error
        found = re.findall(rb"\0(depends|vermagic)=([^\0]*)", data)
        return {name.decode(): value.decode(errors="replace") for name, value in found}

    @property
    def release(self) -> str:
        """Of the kernel that it was built for; empty where it does not say."""
        return self._words.get("vermagic", "").partition(" ")[0]

    @property
    def needs(self) -> list[str]:
        """Names of the modules that it cannot be without."""
        return [name for name in self._words.get("depends", "").split(",") if name]


def find_modules(folder: Path | None, release: str) -> list[Module]:
    """Modules in a kernel's build folder, or where they were installed.

    :param release: of the kernel
    :raises RunError: they are for another kernel
    """
    if folder is None:
        return []
    installed = _installed(folder, release)
    found = list(_walk(installed or folder, "" if installed else "kernel/"))
    for module in found[:1]:
        if module.release and module.release != release:
            raise RunError(
                f"{module.path}: a module for Linux {module.release}, the kernel is {release}",
                hint="run 'make modules' where the kernel was built, or give the modules of this"
                " kernel with --modules",
            )
    return found


def _installed(folder: Path, release: str) -> Path | None:
    """Where below `folder` modules are installed; None if it is no such folder."""
    for root in (folder / "lib/modules", folder / "usr/lib/modules"):
        if root.is_dir():
            there = sorted(path.name for path in root.iterdir() if path.is_dir())
            if release in there:
                return root / release
            of = ", ".join(there) or "no kernel"
            raise RunError(
                f"{root}: has modules of {of}, the kernel is {release}",
                hint="install those of this kernel, or name their folder with --modules",
            )
    lists = ("modules.dep", "modules.builtin.bin", "kernel/drivers")
    is_it = (folder / "Kbuild").exists() is False and any((folder / n).exists() for n in lists)
    return folder if is_it else None


def _walk(folder: Path, prefix: str) -> Iterator[Module]:
    for here, folders, files in os.walk(folder):
        if Path(here) == folder:
            folders[:] = [name for name in folders if name not in _SKIPPED]
        folders.sort()
        for file in sorted(files):
            if plain_name(file) is not None:
                path = Path(here, file)
                yield Module(path, prefix + str(path.relative_to(folder)))


def choose(modules: list[Module]) -> list[Module]:
    """All of a few; of many those that a guest needs, and what these need."""
    if len(modules) <= FEW:
        return modules
    by_name = {module.name: module for module in modules}
    chosen: dict[str, Module] = {}
    todo = [module for module in modules if _is_wanted(module.place)]
    while todo:
        module = todo.pop()
        if module.name not in chosen:
            chosen[module.name] = module
            todo += [by_name[name] for name in module.needs if name in by_name]
    return [module for module in modules if module.name in chosen]


def _is_wanted(place: str) -> bool:
    name = plain_name(place) or ""
    within = name.removeprefix("kernel/")
    return within.startswith(_NTB) or name.startswith(_ADDED) or is_needed(within)
