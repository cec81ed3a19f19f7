# SPDX-License-Identifier: MIT
"""From QEMU's source and our overlay to a QEMU in the build folder.

Finished builds are kept in the cache under a key of all their inputs. So is one compiled tree
for each line of sources: another overlay is brought into that tree and only what differs is
compiled, also for a fresh clone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run.artifacts import MissingBuild, QemuInstall
from run.config import CHECKOUT, Paths
from run.debian.apt import Apt, Package
from run.debian.release import open_apt, refresh
from run.locks import exclusive
from run.qemu import overlay, tools
from run.qemu.source import QemuSource, of_debian, of_path
from run.steps import Steps
from run.store import Store, digest, digest_tree, replace_folder

#: the release whose QEMU, firmware and meson are taken
SUITE = "trixie"

OVERLAY = CHECKOUT / "qemu_src"

CONFIGURE = (
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--enable-kvm",
    "--enable-tcg",
    "--enable-slirp",
    "--enable-tools",  # ivshmem-server is one
    "--disable-docs",
    "--disable-install-blobs",
)
#: finished builds in the cache, about 100 MB each
KEPT_BUILDS = 8

TARGETS = ("qemu-system-x86_64", "contrib/ivshmem-server/ivshmem-server")


@dataclass(frozen=True)
class _Inputs:
    """All that decides what a build looks like."""

    source: QemuSource
    overlay: Path
    meson: list[Package]
    firmware: list[Package]
    host: list[str]

    @property
    def configure(self) -> tuple[str, ...]:
        return (*CONFIGURE, *self.source.configure)

    @property
    def line(self) -> str:
        """Key of the compiled tree that this build may start from."""
        meson = [package.sha256 for package in self.meson]
        return digest([self.source.line, *self.configure, *meson, *self.host])

    @property
    def key(self) -> str:
        firmware = [package.sha256 for package in self.firmware]
        recipe = digest_tree(Path(__file__).parent)
        content = digest_tree(self.overlay)
        return digest([self.line, self.source.content, content, *TARGETS, *firmware, recipe])


def build_qemu(
    steps: Steps,
    paths: Paths,
    *,
    jobs: int,
    source: Path | None = None,
    mirror: str | None = None,
    force: bool = False,
) -> QemuInstall:
    """Build QEMU, or take it from the cache; gives what stands in the build folder.

    :param source: a QEMU source folder or tarball instead of Debian's
    :param mirror: URL of a Debian mirror, where the apt configuration names none
    :param force: compile everything anew
    """
    apt = open_apt(paths, SUITE, mirror, types="deb deb-src")
    store = Store(paths.cache / "builds")
    with tempfile.TemporaryDirectory(prefix="ntbdbg-qemu-") as scratch:
        mine = Path(scratch) / "overlay"
        overlay.snapshot(OVERLAY, mine)
        refresh(steps, apt, "qemu: package lists")
        inputs = _inputs(apt, source, mine)
        if force:
            store.forget("qemu", inputs.key)
        elif (install := _standing(paths, inputs.key)) is not None:
            return install
        elif store.find("qemu", inputs.key) is None:
            # Old lists name packages that the mirror no longer has.
            refresh(steps, apt, "qemu: package lists", max_age=3600.0)
            inputs = _inputs(apt, source, mine)

        def fill(folder: Path) -> None:
            _Builder(steps, paths, apt, inputs, store, jobs).build(folder, force=force)

        waiting = "waiting for another process that makes the same QEMU ..."
        done = store.make("qemu", inputs.key, fill, on_wait=lambda: steps.say(waiting))
        store.prune("qemu", KEPT_BUILDS)
        return _install(done, paths, inputs.key)


def _inputs(apt: Apt, source: Path | None, mine: Path) -> _Inputs:
    return _Inputs(
        of_debian(apt) if source is None else of_path(source),
        mine,
        apt.show(tools.MESON_PACKAGES),
        apt.show(tuple(tools.FIRMWARE)),
        tools.toolchain(),
    )


@dataclass(frozen=True)
class _Builder:
    steps: Steps
    paths: Paths
    apt: Apt
    inputs: _Inputs
    store: Store
    jobs: int

    @property
    def _work(self) -> Path:
        return self.paths.cache / "qemu-trees" / self.inputs.line

    def build(self, folder: Path, *, force: bool) -> None:
        """Fill `folder` with the finished build."""
        waiting = "waiting for another process that compiles QEMU ..."
        lock = self._work.with_suffix(".lock")
        with exclusive(lock, on_wait=lambda: self.steps.say(waiting)):
            if force:
                shutil.rmtree(self._work, ignore_errors=True)
            self._prepare_tree()
            self._configure()
            with self.steps.step("qemu: compile") as step:
                step.run(["ninja", "-C", self._build, f"-j{self.jobs}", *TARGETS])
            for target in TARGETS:
                (folder / "bin").mkdir(exist_ok=True)
                shutil.copy2(self._build / target, folder / "bin")
        with self.steps.step("qemu: firmware") as step:
            tools.unpack_firmware(step, self.apt, self.inputs.firmware, folder / "firmware")

    @property
    def _tree(self) -> Path:
        return self._work / "tree"

    @property
    def _build(self) -> Path:
        return self._tree / "build"

    def _prepare_tree(self) -> None:
        pristine = self._pristine()
        with self.steps.step("qemu: overlay") as step, tempfile.TemporaryDirectory() as scratch:
            names = overlay.stage(step, self.inputs.overlay, pristine, Path(scratch))
            living = self.inputs.source.folder is not None
            overlay.plant(pristine, self._tree, link=not living)
            changed = overlay.sync(pristine, Path(scratch), names, self._tree)
            if living:
                changed += overlay.follow(pristine, self._tree, names)
            step.note(f"changed: {' '.join(changed) or 'nothing'}")

    def _pristine(self) -> Path:
        """The source without our overlay; read only."""
        source = self.inputs.source
        if source.folder is not None:
            return source.folder
        extract = source.extract
        assert extract is not None

        def fill(folder: Path) -> None:
            with self.steps.step("qemu: download and unpack the source") as step:
                extract(step, folder)

        return self.store.make("qemu-source", source.line, fill)

    def _configure(self) -> None:
        """Run configure unless it has been; ninja itself sees to changed meson files."""
        done = self._build / "ntbdbg-configured"
        if done.exists():
            return
        shutil.rmtree(self._build, ignore_errors=True)
        self._build.mkdir()
        with self.steps.step("qemu: configure") as step:
            debs = self.apt.download(step, self.inputs.meson)
            python = tools.make_python(step, debs, self._work / "python")
            script = self._tree / "configure"
            step.run([script, f"--python={python}", *self.inputs.configure], cwd=self._build)
        done.touch()


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
