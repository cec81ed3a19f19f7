# SPDX-License-Identifier: MIT
"""From QEMU's source and our overlay to a QEMU in the build folder.

Finished builds are kept in the cache under a key of all their inputs. So is one compiled tree
for each line of sources: another overlay is brought into that tree and only what differs is
compiled, also for a fresh clone.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from run.base.config import SOURCES, Paths
from run.debian.apt import Apt
from run.debian.release import open_apt, refresh
from run.qemu import overlay, tools
from run.qemu.compile import Compilation, Inputs
from run.qemu.source import QemuSource, debian_source, of_debian, of_path
from run.steps.artifacts import MissingBuild, QemuInstall
from run.steps.steps import Steps
from run.steps.store import Store, replace_folder

#: the release whose QEMU, firmware and meson are taken
SUITE = "trixie"

OVERLAY = SOURCES / "qemu_src"

#: finished builds in the cache, about 100 MB each
KEPT_BUILDS = 8


def build_qemu(
    steps: Steps,
    paths: Paths,
    *,
    jobs: int,
    source: str | None = None,
    mirror: str | None = None,
    force: bool = False,
    sanitize: bool = False,
) -> QemuInstall:
    """Build QEMU, or take it from the cache; gives what stands in the build folder.

    :param source: a QEMU source folder or tarball instead of Debian's, or ``debian:SUITE/VERSION``
    :param mirror: URL of a Debian mirror, where the apt configuration names none
    :param force: compile everything anew
    :param sanitize: the device with sanitizers; a build of its own
    """
    apt = sources(paths, mirror)
    store = Store(paths.cache / "builds")
    with tempfile.TemporaryDirectory(prefix="ntbdbg-qemu-") as scratch:
        mine = Path(scratch) / "overlay"
        overlay.snapshot(OVERLAY, mine)
        refresh(steps, apt, "qemu: package lists")
        inputs = make_inputs(steps, paths, apt, mine, source, mirror, sanitize=sanitize)
        if force:
            store.forget("qemu", inputs.key)
        elif (install := _standing(paths, inputs.key)) is not None:
            return install
        elif store.find("qemu", inputs.key) is None:
            # Old lists name packages that the mirror no longer has.
            refresh(steps, apt, "qemu: package lists", max_age=3600.0)
            inputs = make_inputs(steps, paths, apt, mine, source, mirror, sanitize=sanitize)

        def fill(folder: Path) -> None:
            Compilation(steps, paths, apt, inputs, store, jobs).build(folder, force=force)

        waiting = "waiting for another process that makes the same QEMU ..."
        done = store.make("qemu", inputs.key, fill, on_wait=lambda: steps.say(waiting))
        store.prune("qemu", KEPT_BUILDS)
        return _install(done, paths, inputs.key)


def sources(paths: Paths, mirror: str | None) -> Apt:
    """The apt that has QEMU's source, firmware and meson."""
    return open_apt(paths, SUITE, mirror, types="deb deb-src")


def make_inputs(
    steps: Steps,
    paths: Paths,
    apt: Apt,
    mine: Path,
    source: str | None = None,
    mirror: str | None = None,
    *,
    sanitize: bool = False,
) -> Inputs:
    """All that decides what a build looks like; the parameters are those of `build_qemu`.

    :param apt: of `SUITE`, its lists fetched
    :param mine: a copy of the overlay
    """
    return Inputs(
        choose_source(steps, paths, apt, source, mirror),
        mine,
        apt.show(tools.MESON_PACKAGES),
        apt.show(tuple(tools.FIRMWARE)),
        tools.toolchain(),
        sanitize,
    )


def choose_source(
    steps: Steps, paths: Paths, apt: Apt, source: str | None, mirror: str | None
) -> QemuSource:
    """What ``--qemu-source`` names; without it Debian's package in `apt`."""
    if source is None:
        return of_debian(apt)
    named = debian_source(source)
    if named is None:
        return of_path(Path(source))
    suite, series = named
    other = open_apt(paths, suite, mirror, types="deb-src")
    refresh(steps, other, f"qemu: package lists of {suite}")
    return of_debian(other, series)


def _standing(paths: Paths, key: str) -> QemuInstall | None:
    """What the build folder holds, if it is what would be built."""
    try:
        install = QemuInstall.load(paths.build)
    except MissingBuild:
        return None
    files = (install.qemu, install.ivshmem_server, *install.firmware)
    return install if install.key == key and all(Path(f).exists() for f in files) else None


def _install(built: Path, paths: Paths, key: str) -> QemuInstall:
    """Copy a finished build into the build folder, so that nothing there points into the cache."""
    QemuInstall.path(paths.build).unlink(missing_ok=True)
    replace_folder(built, paths.qemu)
    qemu = paths.qemu / "bin" / "qemu-system-x86_64"
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    install = QemuInstall(
        qemu=str(qemu),
        ivshmem_server=str(paths.qemu / "bin" / "ivshmem-server"),
        firmware=tools.firmware_folders(paths.qemu / "firmware"),
        version=said.partition("\n")[0],
        key=key,
    )
    install.save(paths.build)
    return install
