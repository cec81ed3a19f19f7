# SPDX-License-Identifier: MIT
"""A guest with a kernel that the user built: a bzImage, or the folder in which it was built.

Nothing is compiled and nothing downloaded: kernel and modules are taken as they are, and laid over
the archive that the guest of Debian's kernel has left.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from run.base.config import Paths
from run.base.errors import RunError
from run.guest import initramfs, modules
from run.guest.bzimage import BzImage
from run.guest.choice import OwnKernel
from run.guest.fitness import find_facts
from run.guest.ownmodules import Module, choose, find_modules
from run.steps.artifacts import GuestImage, MissingBuild
from run.steps.steps import Step, Steps
from run.steps.store import digest, digest_tree

#: where a kernel's build leaves what is booted
_IMAGES = ("arch/x86/boot/bzImage", "arch/x86_64/boot/bzImage")

_SELFTEST = "tools/testing/selftests/ntb/ntb_test.sh"


@dataclass(frozen=True)
class Ingredients:
    """What a guest of the user's own kernel is made of.

    :param tree: the folder in which the kernel was built; None for a lone bzImage
    :param modules: all that there are
    :param under: the guest whose archive is laid under
    """

    choice: OwnKernel
    tree: Path | None
    bzimage: Path
    modules: list[Module]
    under: GuestImage

    @property
    def key(self) -> str:
        """Of everything by its place, size and time: a kernel that was built anew is another."""
        files = [self.bzimage, self.vmlinux, self.config, self.choice.initrd]
        stamps = [_stamp(path) for path in files if path is not None]
        stamps += [_stamp(module.path) for module in self.modules]
        return digest([*stamps, self.under.key, digest_tree(Path(__file__).parent)])

    @property
    def vmlinux(self) -> Path | None:
        """The kernel with its symbols, where the build left it."""
        return self._of_tree("vmlinux")

    @property
    def config(self) -> Path | None:
        return self._of_tree(".config")

    @property
    def symbols(self) -> Path | None:
        return self._of_tree("Module.symvers")

    @property
    def selftest(self) -> Path | None:
        """The kernel's own test of NTB drivers; of another kernel where this one brings none."""
        other = Path(self.under.modules).with_name("ntb_test.sh")
        return self._of_tree(_SELFTEST) or (other if other.is_file() else None)

    def _of_tree(self, name: str) -> Path | None:
        path = self.tree / name if self.tree else None
        return path if path is not None and path.is_file() else None


def build_own(steps: Steps, paths: Paths, choice: OwnKernel, *, force: bool = False) -> GuestImage:
    """Make the guest, unless it stands in the build folder as it would be made.

    :raises RunError: it is no kernel that a guest could have
    :raises MissingBuild: there is no guest of Debian's kernel, whose programs are needed
    """
    under = GuestImage.load(paths.build)
    bzimage = BzImage.read(_bzimage(choice.path))
    tree = choice.path if choice.path.is_dir() else None
    found = find_modules(choice.modules or tree, bzimage.release)
    ingredients = Ingredients(choice, tree, bzimage.path, found, under)
    home = choice.home(paths)
    standing = _standing(home, ingredients.key)
    if standing is not None and not force:
        return standing
    with steps.step(f"guest: Linux {bzimage.release} of {choice}") as step:
        return _make(step, ingredients, bzimage, home)


def _bzimage(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _IMAGES:
        if (path / name).is_file():
            return path / name
    raise RunError(
        f"{path}: no kernel was built there, {_IMAGES[0]} is missing",
        hint="run 'make' there, or give the folder that O= named",
    )


def _standing(home: Paths, key: str) -> GuestImage | None:
    try:
        image = GuestImage.load(home.build)
    except MissingBuild:
        return None
    files = (image.kernel, image.initramfs, image.vmlinux, image.modules)
    there = all(Path(name).exists() for name in files if name)
    return image if image.key == key and there else None


def _make(step: Step, given: Ingredients, bzimage: BzImage, home: Paths) -> GuestImage:
    """Fill the build folder."""
    GuestImage.path(home.build).unlink(missing_ok=True)
    folder = home.guest
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(given.bzimage, folder / "kernel")
    vmlinux = given.vmlinux or _unpack_vmlinux(bzimage, folder / "vmlinux")
    chosen = choose(given.modules)
    _copy_modules(step, chosen, folder / "modules")
    scratch = folder / "scratch"
    modules.index(step, folder / "modules", scratch / "depmod", bzimage.release, given.symbols)
    initramfs.build_kernel_tree(
        scratch / "own",
        modules=folder / "modules",
        release=bzimage.release,
        selftest=given.selftest,
    )
    under = given.choice.initrd or Path(given.under.base)
    initramfs.lay_over(under, scratch / "own", folder / "initramfs")
    shutil.rmtree(scratch)
    facts = find_facts(given.choice, bzimage, vmlinux, given.config, given.modules)
    image = GuestImage(
        release=bzimage.release,
        kernel=str(folder / "kernel"),
        initramfs=str(folder / "initramfs"),
        vmlinux=str(vmlinux) if vmlinux else "",
        modules=str(folder / "modules"),
        key=given.key,
        ntb=facts.ntb is not False,
        notes=[*facts.notes(), *_left_out(given.choice, chosen, given.modules)],
    )
    image.save(home.build)
    return image


def _unpack_vmlinux(bzimage: BzImage, target: Path) -> Path | None:
    data = bzimage.vmlinux()
    if data is None:
        return None
    target.write_bytes(data)
    return target


def _copy_modules(step: Step, chosen: list[Module], target: Path) -> None:
    """Without debug information, which would take several times their room in the guest."""
    target.mkdir()
    for module in chosen:
        modules.copy_plain(module.path, target / module.place)
    files = sorted(target.rglob("*.ko"))
    if files:
        step.run(["strip", "--strip-debug", *files])


def _left_out(choice: OwnKernel, chosen: list[Module], there: list[Module]) -> list[str]:
    if len(chosen) == len(there):
        return []
    return [
        f"{choice}: the guest has {len(chosen)} of {len(there)} modules, those for its own devices"
        " and for NTB; 'make localmodconfig' makes fewer"
    ]


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"
