# SPDX-License-Identifier: MIT
"""Compiles QEMU, starting from the tree that the same line of sources left in the cache."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run.base.config import Paths
from run.base.locks import exclusive
from run.debian.apt import Apt, Package
from run.qemu import boards, overlay, sanitize, tools
from run.qemu.source import SOURCES, QemuSource, pristine
from run.steps.steps import Steps
from run.steps.store import Store, digest, digest_tree

CONFIGURE = (
    # All that there may be guests of; ninja compiles only what is asked for, which shares the most.
    "--target-list=x86_64-softmmu,aarch64-softmmu,riscv64-softmmu",
    *boards.FLAGS,
    "--without-default-features",
    "--enable-kvm",
    "--enable-tcg",
    "--enable-slirp",
    "--enable-tools",  # ivshmem-server is one
    "--enable-virtfs",  # folders of the host in guests
    "--enable-attr",  # without which there is no virtfs
    "--disable-docs",
    "--disable-install-blobs",
)

QEMU = "qemu-system-x86_64"
TARGETS = (
    QEMU,
    "contrib/ivshmem-server/ivshmem-server",
    "tests/qtest/idt-ntb-test",
    "tests/qtest/ntb-epf-test",
)


@dataclass(frozen=True)
class Inputs:
    """All that decides what a build looks like.

    :param sanitize: our device with AddressSanitizer and UndefinedBehaviorSanitizer
    """

    source: QemuSource
    overlay: Path
    meson: list[Package]
    firmware: list[Package]
    host: list[str]
    sanitize: bool = False

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
        parts = [self.line, self.source.content, content, *TARGETS, *firmware, recipe]
        return digest([*parts, *(sanitize.FLAGS if self.sanitize else ())])


@dataclass(frozen=True)
class Compilation:
    """One build of `inputs`, whose tree is shared with all builds of the same line."""

    steps: Steps
    paths: Paths
    apt: Apt
    inputs: Inputs
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
            if self.inputs.sanitize:
                with self.steps.step("qemu: the device with sanitizers") as step:
                    sanitize.build(
                        step, self._build, self._sources, QEMU, folder / "bin" / QEMU, self.jobs
                    )
        with self.steps.step("qemu: firmware") as step:
            tools.unpack_firmware(step, self.apt, self.inputs.firmware, folder / "firmware")

    def compile_device(self) -> None:
        """Compile our own files and no more: whether the device fits this QEMU."""
        with exclusive(self._work.with_suffix(".lock")):
            self._prepare_tree()
            self._configure()
            with self.steps.step("qemu: compile the device") as step:
                ninja: list[str | Path] = ["ninja", "-C", self._build]
                step.run([*ninja, "build.ninja"])  # the overlay may have other files now
                ours = sanitize.commands(self._build, self._sources)
                step.run([*ninja, f"-j{self.jobs}", *(command["output"] for command in ours)])

    @property
    def _sources(self) -> list[str]:
        return overlay.device_sources(self.inputs.overlay)

    @property
    def _tree(self) -> Path:
        return self._work / "tree"

    @property
    def _build(self) -> Path:
        return self._tree / "build"

    def _prepare_tree(self) -> None:
        untouched = self.fetch_source()
        with self.steps.step("qemu: overlay") as step, tempfile.TemporaryDirectory() as scratch:
            names = overlay.stage(step, self.inputs.overlay, untouched, Path(scratch))
            names |= boards.stage(untouched, Path(scratch))
            living = self.inputs.source.folder is not None
            overlay.plant(untouched, self._tree, link=not living)
            changed = overlay.sync(untouched, Path(scratch), names, self._tree)
            if living:
                changed += overlay.follow(untouched, self._tree, names)
                self.inputs.source.check_unchanged()
            step.note(f"changed: {' '.join(changed) or 'nothing'}")

    @property
    def has_source(self) -> bool:
        """Whether the source is at hand, so that nothing need be downloaded for it."""
        source = self.inputs.source
        return source.folder is not None or bool(self.store.find(SOURCES, source.line))

    def fetch_source(self) -> Path:
        """The source without our overlay, downloaded if need be; read only."""
        return pristine(self.steps, self.store, self.inputs.source)

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
