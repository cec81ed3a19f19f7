# SPDX-License-Identifier: MIT
"""From Debian packages to a bootable guest in the build folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from run.artifacts import GuestImage
from run.config import Paths
from run.debian.apt import Apt, Package, Suite
from run.debian.mirror import Mirror, find_mirror, os_release, read_sources
from run.errors import HostError
from run.guest import initramfs, kernel
from run.guest.packages import LIBRARIES, PROGRAMS, SUITE, KernelPackages, resolve_kernel
from run.steps import Steps
from run.store import Store, digest, digest_tree

#: modules whose text decides what a build looks like
_SOURCES = Path(__file__).parent


def build_guest(
    steps: Steps, paths: Paths, *, jobs: int, mirror: str | None = None, refresh: bool = False
) -> GuestImage:
    """Build the guest, or take it from the cache; gives what stands in the build folder."""
    apt = _apt(paths, mirror)
    with steps.step("guest: package lists") as step:
        apt.refresh(step, **({"max_age": 0.0} if refresh else {}))
    packages = resolve_kernel(apt.show)
    programs, libraries = apt.show(PROGRAMS), apt.show(LIBRARIES)
    key = _key(packages, [*programs, *libraries])
    image = _existing(paths, key)
    if image is not None:
        return image

    store = Store(paths.cache / "builds")

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
            )
            initramfs.write_archive(root, folder / "initramfs")
            shutil.rmtree(root)
            shutil.rmtree(scratch)

    done = store.make("guest", key, fill, on_wait=lambda: steps.say("waiting for another build"))
    return _install(done, paths, packages.release, key)


def _apt(paths: Paths, mirror: str | None) -> Apt:
    """An apt on the guest's suite; its security updates too, where the host knows their mirror."""
    if mirror is not None:
        suites = [Suite(Mirror(mirror), SUITE)]
    else:
        sources = read_sources()
        codename = os_release().get("VERSION_CODENAME", SUITE)
        suites = [Suite(find_mirror(sources, codename), SUITE)]
        try:
            security = find_mirror(sources, codename, security=True)
            suites.append(Suite(security, f"{SUITE}-security"))
        except HostError:
            pass  # a bare installation lists only the main archive, which is complete by itself
    return Apt(paths.cache / "apt" / SUITE, paths.cache / "downloads", suites)


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


def _existing(paths: Paths, key: str) -> GuestImage | None:
    try:
        image = GuestImage.load(paths.build)
    except Exception:
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
    shutil.rmtree(paths.guest, ignore_errors=True)
    shutil.copytree(built, paths.guest, symlinks=True)
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
