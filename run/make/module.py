# SPDX-License-Identifier: MIT
"""Modules of the user's own: begun from a client that works, and built for a guest's kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from run.base.errors import RunError, UsageError
from run.make.headers import Headers
from run.steps.steps import Step, Steps

_TEMPLATE = Path(__file__).with_name("template.c")

_MAKEFILE = """\
# python3 run module build DIR; or make -C HEADERS M=$PWD KBUILD_EXTRA_SYMBOLS=ntb.symvers
obj-m := {name}.o
"""

#: what a C function may begin with, and no longer than the kernel's MODULE_NAME_LEN takes
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

#: the kernel's own of that kind: one of them cannot be loaded beside the other
_TAKEN = re.compile(r"ntb(_.*)?|.*_ntb_hw|virtio.*|e1000e?")


def new(folder: Path) -> list[Path]:
    """Make `folder` with a client of the NTB that works, named after it; gives its files.

    :raises UsageError: it is there, or has a name that no module can have
    """
    name = folder.name
    if not _NAME.fullmatch(name) or _TAKEN.fullmatch(name):
        raise UsageError(
            f"{name!r:.60} cannot name a module of your own",
            hint="small letters, digits and '_', for example my_client",
        )
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}", hint="name a folder that is new") from None
    files = {
        folder / f"{name}.c": _TEMPLATE.read_text(encoding="utf-8").replace("@NAME@", name),
        folder / "Makefile": _MAKEFILE.format(name=name),
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def build(steps: Steps, headers: Headers, vmlinux: Path, folder: Path, jobs: int) -> list[Path]:
    """Compile the modules in `folder`, types (BTF) included; gives them, with their DWARF.

    :param vmlinux: of the kernel that they are for, on whose types theirs stand
    :raises RunError: there is nothing to build there, or the compiler refuses it
    """
    if not any((folder / name).is_file() for name in ("Makefile", "Kbuild")):
        raise UsageError(
            f"{folder}: no Makefile there", hint="'python3 run module new NAME' makes one to begin"
        )
    with steps.step(f"module: build {folder.name} for Linux {headers.release}") as step:
        symbols = f"KBUILD_EXTRA_SYMBOLS={headers.symbols}"
        make: list[str | Path] = ["make", "-C", headers.folder, f"M={folder.resolve()}", symbols]
        before = _times(folder)
        environment = {"LC_ALL": "C", **headers.environment}
        step.run([*make, f"-j{jobs}", "modules"], env=environment)
        built = sorted(folder.rglob("*.ko"))
        if not built:
            raise RunError(f"{folder}: make built no module", hint="its Makefile has no obj-m")
        for module in built:
            if before.get(module) != module.stat().st_mtime_ns:
                _add_types(step, module, vmlinux)
    return built


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.ko")}


def _add_types(step: Step, module: Path, vmlinux: Path) -> None:
    """BTF, which Debian's kbuild cannot add, from the module's DWARF."""
    if vmlinux.is_file() and b"\0.BTF\0" not in module.read_bytes():
        words: Sequence[str | Path] = ["pahole", "-J", "--btf_gen_floats", "--btf_base", vmlinux]
        # It calls llvm-objcopy unless told otherwise; binutils' does the same.
        step.run([*words, module], env={"LLVM_OBJCOPY": "objcopy"})
