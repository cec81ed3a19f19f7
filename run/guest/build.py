# SPDX-License-Identifier: MIT
"""From Debian packages to a bootable guest in the build folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from run.base.config import DEFAULT_FLAVOUR, Paths
from run.debian.apt import Apt, Package
from run.debian.release import open_apt, refresh
from run.guest import initramfs, kernel
from run.guest.packages import LIBRARIES, PROGRAMS, SUITE, KernelPackages, resolve_kernel
from run.steps.artifacts import GuestImage, MissingBuild
from run.steps.steps import Steps
from run.steps.store import Store, digest, digest_tree, replace_folder

#: modules whose text decides what a build looks like
_SOURCES = Path(__file__).parent

#: finished builds in the cache, about 80 MB each
KEPT_BUILDS = 8


def build_guest(
    steps: Steps,
    paths: Paths,
    *,
    jobs: int,
    mirror: str | None = None,
    force: bool = False,
    flavour: str = DEFAULT_FLAVOUR,
) -> GuestImage:
    """Build the guest, or take it from the cache; gives what stands in the build folder.

    :param mirror: URL of a Debian mirror, where the apt configuration names none
    :param force: build anew what the cache has
    :param flavour: of the kernel
    """
    home = paths.flavour(flavour)
    apt = open_apt(paths, SUITE, mirror)
    store = Store(paths.cache / "builds")
    refresh(steps, apt, "guest: package lists")
    packages, programs, libraries, key = _resolve(apt, flavour)
    if force:
        store.forget("guest", key)
    elif (image := _standing(home, key)) is not None:
        return image
    elif store.find("guest", key) is None:
        # Old lists name packages that the mirror no longer has.
        refresh(steps, apt, "guest: package lists", max_age=3600.0)
        packages, programs, libraries, key = _resolve(apt, flavour)

    def fill(folder: Path) -> None:
        debs = _download(steps, apt, [*packages.all(), *programs, *libraries])
        kernel.build_kernel(steps, packages, debs, folder, jobs)
        with steps.step("guest: initramfs") as step:
            root, scratch = folder / "root", folder / "scratch"
            root.mkdir()
            initramfs.build_tree(
                step,
                root,
                scratch,
                programs=[debs[p.name] for p in programs],
                libraries=[debs[p.name] for p in libraries],
                modules=folder / "modules",
                release=packages.release,
                selftest=folder / "ntb_test.sh",
            )
            initramfs.write_archive(root, folder / "initramfs")
            shutil.rmtree(root)
            shutil.rmtree(scratch)

    waiting = "waiting for another process that makes the same guest ..."
    done = store.make("guest", key, fill, on_wait=lambda: steps.say(waiting))
    store.prune("guest", KEPT_BUILDS)
    return _install(done, home, packages.release, key)


def _resolve(apt: Apt, flavour: str) -> tuple[KernelPackages, list[Package], list[Package], str]:
    """The packages of kernel, programs and libraries, and the key of a guest made of them."""
    kernel_packages = resolve_kernel(apt.show, flavour)
    programs, libraries = apt.show(PROGRAMS), apt.show(LIBRARIES)
    return kernel_packages, programs, libraries, _key(kernel_packages, [*programs, *libraries])


def _key(packages: KernelPackages, others: list[Package]) -> str:
    tools = ("gcc", "pahole", "strip")
    return digest(
        [
            *(package.sha256 for package in [*packages.all(), *others]),
            digest_tree(_SOURCES),
            *(_version(tool) for tool in tools),
        ]
    )


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
    files = (image.kernel, image.initramfs, image.vmlinux, image.modules)
    return image if image.key == key and all(Path(f).exists() for f in files) else None


def _download(steps: Steps, apt: Apt, packages: list[Package]) -> dict[str, Path]:
    with steps.step("guest: download packages") as step:
        files = apt.download(step, packages)
    return {package.name: file for package, file in zip(packages, files, strict=True)}


def _install(built: Path, paths: Paths, release: str, key: str) -> GuestImage:
    """Copy a finished build into the build folder, so that nothing there points into the cache."""
    GuestImage.path(paths.build).unlink(missing_ok=True)
    replace_folder(built, paths.guest)
    image = GuestImage(
        release=release,
        kernel=str(paths.guest / "kernel"),
        initramfs=str(paths.guest / "initramfs"),
        vmlinux=str(paths.guest / "vmlinux"),
        modules=str(paths.guest / "modules"),
        key=key,
    )
    image.save(paths.build)
    return image
