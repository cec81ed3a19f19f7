# SPDX-License-Identifier: MIT
"""Where a Yocto build has its things. Names alone; nothing is looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from run.base.config import SOURCES, Paths

KAS_FILE = SOURCES / "yocto_files" / "kas.yml"

MACHINE = "qemux86-64"
IMAGE = "ntb-image"

#: what ``--build=`` builds, as bitbake calls it: the second is a sysroot with all of QEMU in it
TARGETS = {"image": IMAGE, "qemu": "qemu-helper-native:do_addto_recipe_sysroot"}

#: a folder with bare clones of the repositories, for hosts that do not reach their homes
MIRRORS = "NTB_YOCTO_MIRRORS"


@dataclass(frozen=True)
class Layout:
    """One Yocto build in a build folder."""

    paths: Paths

    @property
    def work(self) -> Path:
        """kas's own folder: the repositories, and in it the build."""
        return self.paths.build / "yocto"

    @property
    def build(self) -> Path:
        """bitbake's TOPDIR."""
        return self.work / "build"

    @property
    def deploy(self) -> Path:
        """Kernel and root file system."""
        return self.build / "tmp" / "deploy" / "images" / MACHINE

    @property
    def rootfs(self) -> Path:
        return self.deploy / f"{IMAGE}-{MACHINE}.rootfs.ext4"

    @property
    def disks(self) -> Path:
        """Copies of the root file system, one for each running guest."""
        return self.work / "disks"

    @property
    def qemu_tree(self) -> Path:
        """The tree of ``devtool modify``; in its workspace, `reset` would take it away."""
        return self.work / "qemu-devenv"

    @property
    def installed(self) -> Paths:
        """Where it is written down what the build made."""
        return Paths(self.work / "installed")

    def sysroots(self) -> list[Path]:
        """Native sysroots that have a whole QEMU; there is one, once it is built."""
        return sorted((self.build / "tmp" / "work").glob("*/qemu-helper-native/*/*-sysroot-native"))

    def environ(self) -> dict[str, str]:
        """What kas is told by its environment."""
        shared = self.paths.cache / "yocto"
        told = {
            "KAS_WORK_DIR": str(self.work),
            "KAS_BUILD_DIR": str(self.build),
            # Sources and finished tasks outlive a build folder, and serve the next one.
            "DL_DIR": os.environ.get("DL_DIR", str(shared / "downloads")),
            "SSTATE_DIR": os.environ.get("SSTATE_DIR", str(shared / "sstate")),
            # bitbake wants UTF-8, whatever the user's language is.
            "LANG": "en_US.UTF-8",
            "LC_ALL": "en_US.UTF-8",
        }
        mirrors = os.environ.get(MIRRORS)
        return told | ({"KAS_PREMIRRORS": premirrors(mirrors)} if mirrors else {})


def premirrors(folder: str) -> str:
    """What makes kas clone from bare repositories in `folder` instead: ``regex replacement``."""
    return f"https://git\\.openembedded\\.org/(.*) file://{Path(folder).resolve()}/\\1.git\n"


def kas(command: str, *words: str) -> list[str]:
    """The command line of kas for this project's file."""
    return ["kas", command, *words, str(KAS_FILE)]


def build_argv(parts: list[str]) -> list[str]:
    """kas building `parts`, keys of `TARGETS`."""
    targets = [word for part in parts for word in ("--target", TARGETS[part])]
    return kas("build", *targets)


def shell_argv(command: str) -> list[str]:
    """kas running a shell command with bitbake's environment."""
    return ["kas", "shell", str(KAS_FILE), "-c", command]
