# SPDX-License-Identifier: MIT
"""From Debian packages to a bootable guest in the build folder."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from run.base.config import Paths
from run.debian.apt import Package
from run.debian.aptstate import LISTS_MAX_AGE
from run.debian.release import open_apt, refresh
from run.guest import initramfs
from run.guest.choice import DEFAULT, SUITE, DebianKernel
from run.guest.kernel import build_kernel
from run.guest.packages import LIBRARIES, PROGRAMS, KernelPackages, resolve_kernel
from run.guest.toolchain import Toolchain, find_toolchain
from run.steps.artifacts import GuestImage, MissingBuild
from run.steps.steps import Step, Steps
from run.steps.store import Store, digest, digest_tree, replace_folder

#: modules whose text decides what a build looks like
_SOURCES = Path(__file__).parent

#: suites beside a release, whose kernels are built with the release's compiler
_ADDED = re.compile(r"-(backports|backports-sloppy|updates|proposed-updates|security)$")

#: finished builds in the cache, about 80 MB each
KEPT_BUILDS = 20


def build_guest(
    steps: Steps,
    paths: Paths,
    *,
    jobs: int,
    mirror: str | None = None,
    force: bool = False,
    choice: DebianKernel = DEFAULT,
) -> GuestImage:
    """Build the guest, or take it from the cache; gives what stands in the build folder.

    :param mirror: URL of a Debian mirror, where the apt configuration names none
    :param force: build anew what the cache has
    :param choice: the kernel
    :raises RunError: Debian has no such kernel
    """
    home = choice.home(paths)
    archive = _Archive(steps, paths, mirror, choice)
    store = Store(paths.cache / "builds")
    archive.refresh()
    parts = archive.resolve()
    if force:
        store.forget("guest", parts.key)
    elif (image := _standing(home, parts.key)) is not None:
        return image
    elif store.find("guest", parts.key) is None:
        # Old lists name packages that the mirror no longer has.
        archive.refresh(max_age=3600.0)
        parts = archive.resolve()

    def fill(folder: Path) -> None:
        debs = archive.download(parts)
        build_kernel(steps, parts.kernel, parts.toolchain, debs, folder, jobs)
        with steps.step("guest: initramfs") as step:
            _build_initramfs(step, parts, debs, folder)

    waiting = "waiting for another process that makes the same guest ..."
    done = store.make("guest", parts.key, fill, on_wait=lambda: steps.say(waiting))
    store.prune("guest", KEPT_BUILDS)
    return _install(done, home, parts.kernel.release, parts.key)


@dataclass(frozen=True)
class _Parts:
    """All packages that a guest is made of."""

    kernel: KernelPackages
    toolchain: Toolchain
    programs: list[Package]
    libraries: list[Package]

    @property
    def key(self) -> str:
        tools = ("gcc", "pahole", "strip")
        others = [*self.programs, *self.libraries, *self.toolchain.packages]
        return digest(
            [
                *(package.sha256 for package in [*self.kernel.all(), *others]),
                digest_tree(_SOURCES),
                *(_version(tool) for tool in tools),
            ]
        )


class _Archive:
    """The suites that a guest comes from: of its kernel, of the compiler, of its programs."""

    def __init__(
        self, steps: Steps, paths: Paths, mirror: str | None, choice: DebianKernel
    ) -> None:
        self._steps = steps
        self._choice = choice
        release = _ADDED.sub("", choice.suite)
        suites = dict.fromkeys((SUITE, choice.suite, release))
        self._apts = {suite: open_apt(paths, suite, mirror) for suite in suites}
        self._kernels, self._compilers = self._apts[choice.suite], self._apts[release]
        self._programs = self._apts[SUITE]

    def refresh(self, *, max_age: float = LISTS_MAX_AGE) -> None:
        """Make the package lists fresh."""
        for suite, apt in self._apts.items():
            of = "" if suite == SUITE else f" of {suite}"
            refresh(self._steps, apt, f"guest: package lists{of}", max_age=max_age)

    def resolve(self) -> _Parts:
        kernel = resolve_kernel(self._kernels, self._choice)
        return _Parts(
            kernel,
            find_toolchain(kernel, self._compilers),
            self._programs.show(PROGRAMS),
            self._programs.show(LIBRARIES),
        )

    def download(self, parts: _Parts) -> dict[str, Path]:
        """Each package's file by its name.

        The compiler's libraries have the same names as the guest's where both are of one suite.
        """
        found: dict[str, Path] = {}
        with self._steps.step("guest: download packages") as step:
            for apt, packages in (
                (self._kernels, parts.kernel.all()),
                (self._programs, [*parts.programs, *parts.libraries]),
                (self._compilers, parts.toolchain.packages),
            ):
                files = apt.download(step, packages)
                found |= {p.sha256: file for p, file in zip(packages, files, strict=True)}
        return found


def _build_initramfs(step: Step, parts: _Parts, debs: Mapping[str, Path], folder: Path) -> None:
    """``base``, which fits any kernel, and ``initramfs``: that and what goes with this one."""
    root, own, scratch = folder / "root", folder / "own", folder / "scratch"
    root.mkdir()
    initramfs.build_tree(
        step,
        root,
        scratch,
        programs=[debs[package.sha256] for package in parts.programs],
        libraries=[debs[package.sha256] for package in parts.libraries],
    )
    initramfs.write_archive(root, folder / "base")
    initramfs.build_kernel_tree(
        own,
        modules=folder / "modules",
        release=parts.kernel.release,
        selftest=folder / "ntb_test.sh",
    )
    initramfs.lay_over(folder / "base", own, folder / "initramfs")
    for left in (root, own, scratch):
        shutil.rmtree(left)


def _version(tool: str) -> str:
    """First line of what `tool` says of itself; its absence is a version too."""
    try:
        done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return f"no {tool}"
    return f"{tool} {(done.stdout or done.stderr).partition(chr(10))[0]}"


def _standing(paths: Paths, key: str) -> GuestImage | None:
    """What the build folder holds, if it is what would be built."""
    try:
        image = GuestImage.load(paths.build)
    except MissingBuild:
        return None
    files = (image.kernel, image.initramfs, image.base, image.vmlinux, image.modules)
    return image if image.key == key and all(Path(f).exists() for f in files) else None


def _install(built: Path, paths: Paths, release: str, key: str) -> GuestImage:
    """Copy a finished build into the build folder, so that nothing there points into the cache."""
    GuestImage.path(paths.build).unlink(missing_ok=True)
    replace_folder(built, paths.guest)
    image = GuestImage(
        release=release,
        kernel=str(paths.guest / "kernel"),
        initramfs=str(paths.guest / "initramfs"),
        base=str(paths.guest / "base"),
        vmlinux=str(paths.guest / "vmlinux"),
        modules=str(paths.guest / "modules"),
        key=key,
    )
    image.save(paths.build)
    return image
