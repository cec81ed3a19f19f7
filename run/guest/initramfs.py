# SPDX-License-Identifier: MIT
"""The guest's root file system: programs, the libraries they need, drivers, a few own files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from run.base.errors import RunError
from run.guest import cpio
from run.guest.unpack import unpack
from run.steps.steps import Step

#: our own files of the root file system
OWN_FILES = Path(__file__).parent / "rootfs"

#: the kernel's own test of NTB drivers, in the guest
SELFTEST = Path("usr/lib/selftests/ntb/ntb_test.sh")

_LIBRARY_DIR = Path("usr/lib/x86_64-linux-gnu")
_EMPTY_DIRS = ("dev", "proc", "sys", "tmp", "run", "var/log", "root", "etc/dropbear", "usr/lib64")

#: distribution paths that are links into usr/, as on any merged-/usr system
_MERGED = {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}

_BUSYBOX = "usr/bin/busybox"

#: what zstd spends on the archive: 9 is 2 s and within 5 % of the best
_COMPRESSION_LEVEL = 9


def build_tree(
    step: Step,
    root: Path,
    scratch: Path,
    *,
    programs: Iterable[Path],
    libraries: Iterable[Path],
) -> None:
    """Fill the empty folder `root` with what a guest has whatever its kernel.

    :param programs: .deb files whose programs are all wanted
    :param libraries: .deb files from which only needed libraries are taken
    """
    _skeleton(root)
    for deb in programs:
        unpack(step, deb, scratch / "programs")
    for deb in libraries:
        unpack(step, deb, scratch / "libraries")
    binaries = _copy_programs(scratch / "programs", root)
    _copy_libraries(step, scratch / "libraries", root, binaries)
    shutil.copytree(OWN_FILES, root, dirs_exist_ok=True, symlinks=True)
    _link_applets(root)
    (root / "init").symlink_to(_BUSYBOX)


def build_kernel_tree(root: Path, *, modules: Path, release: str, selftest: Path | None) -> None:
    """Fill the empty folder `root` with what goes with one kernel, to be laid over `build_tree`'s.

    Nothing in it is named ``lib`` itself: that is a link in some root file systems.

    :param modules: the kernel's modules, indexed
    :param selftest: a script of the kernel's source, wanted at `SELFTEST`
    """
    shutil.copytree(modules, root / "lib/modules" / release, symlinks=True)
    if selftest is not None:
        (root / SELFTEST).parent.mkdir(parents=True)
        shutil.copy(selftest, root / SELFTEST)
        (root / SELFTEST).chmod(0o755)


def write_archive(root: Path, target: Path, *, overlay: bool = False) -> None:
    """`root` as a zstd-compressed cpio archive.

    :param overlay: it is laid over another one, whose links to folders shall stay
    """
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    with target.open("wb") as file, compressor.stream_writer(file, closefd=False) as stream:
        for piece in cpio.archive(root, overlay=overlay):
            stream.write(piece)


def lay_over(base: Path, root: Path, target: Path) -> None:
    """The archive `base` with the folder `root` laid over it.

    The kernel unpacks archives that follow each other
    (Documentation/driver-api/early-userspace/buffer-format.rst).
    """
    write_archive(root, target, overlay=True)
    over = target.read_bytes()
    shutil.copyfile(base, target)
    with target.open("ab") as file:
        file.write(over)


def _skeleton(root: Path) -> None:
    for name in (*_EMPTY_DIRS, "usr/bin", str(_LIBRARY_DIR)):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "usr/sbin").symlink_to("bin")
    for name, target in _MERGED.items():
        (root / name).symlink_to(target)


def _copy_programs(source: Path, root: Path) -> list[Path]:
    """Every executable of `source` into /usr/bin; gives where they are."""
    copied = []
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin"):
        for path in sorted((source / folder).glob("*")):
            target = root / "usr/bin" / path.name
            if path.is_symlink():
                # What links across folders, as /sbin/lsmod to /bin/kmod, ends up side by side.
                target.unlink(missing_ok=True)
                target.symlink_to(path.readlink().name)
            else:
                shutil.copy2(path, target)
                copied.append(target)
    return copied


def _copy_libraries(step: Step, source: Path, root: Path, binaries: Sequence[Path]) -> None:
    """The transitive closure of what `binaries` are linked with."""
    available = {p.name: p for p in source.rglob("*.so*") if p.is_file()}
    loader = available["ld-linux-x86-64.so.2"]
    shutil.copy2(loader.resolve(), root / "usr/lib64" / loader.name)
    todo, seen = list(binaries), {loader.name}
    while todo:
        for name in _needed(step, todo.pop()):
            if name in seen:
                continue
            seen.add(name)
            if name not in available:
                raise RunError(f"a program of the guest needs {name}, which no package brings")
            target = root / _LIBRARY_DIR / name
            shutil.copy2(available[name].resolve(), target)
            todo.append(target)


def _needed(step: Step, binary: Path) -> list[str]:
    with binary.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    return re.findall(r"\(NEEDED\).*\[(.*)\]", step.run(["readelf", "-d", binary]))


def _link_applets(root: Path) -> None:
    """busybox stands in for every program that nothing better provides."""
    names = subprocess.run(
        [root / _BUSYBOX, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in names:
        link = root / "usr/bin" / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to("busybox")
