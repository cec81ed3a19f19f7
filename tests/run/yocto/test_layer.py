# SPDX-License-Identifier: MIT
"""The layer as files: kas takes it, oelint has nothing to say, the kernel knows its options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from kas.configschema import CONFIGSCHEMA

from run.base.config import CHECKOUT, Paths
from run.debian.release import open_apt
from run.guest.choice import SUITE
from run.guest.packages import resolve_kernel
from run.guest.unpack import unpack_inner
from run.steps.steps import Step
from run.yocto.layout import TARGETS

FILES = CHECKOUT / "yocto_files"
FRAGMENT = FILES / "meta-ntb/recipes-kernel/linux/linux-yocto/ntb.cfg"
PROGRAMS = Path(sys.prefix) / "bin"

#: folders with sources of Linux, separated by colons, whose Kconfig shall know the fragment too
TREES = os.environ.get("NTB_LINUX_TREES", "")

_OPTION = re.compile(r"^CONFIG_(\w+)=(\w+)$", re.MULTILINE)


def test_kas_takes_the_file() -> None:
    """By its own schema; and all repositories are pinned. `kas dump` wants them checked out."""
    configuration = yaml.safe_load((FILES / "kas.yml").read_text(encoding="utf-8"))
    jsonschema.validate(configuration, CONFIGSCHEMA)
    repositories = configuration["repos"]
    pinned = {name for name, repo in repositories.items() if "commit" in repo}
    assert pinned == {"openembedded-core", "meta-openembedded", "bitbake"}
    assert configuration["target"] == list(TARGETS.values())
    for layer in repositories["ntbdbg"]["layers"]:
        assert (CHECKOUT / layer / "conf/layer.conf").is_file()


def test_oelint_has_nothing_to_say() -> None:
    recipes = sorted((FILES / "meta-ntb").glob("recipes-*/*/*.bb*"))
    assert len(recipes) == 3
    argv = [PROGRAMS / "oelint-adv", *[path.relative_to(FILES) for path in recipes]]
    done = subprocess.run(argv, cwd=FILES, capture_output=True, text=True, check=False)
    found = re.findall(r"^\S+:\d+:(?:error|warning|info):.*", done.stdout + done.stderr, re.M)
    assert found == []
    assert done.returncode == 0, done.stderr


def test_every_option_has_a_reason() -> None:
    blocks = FRAGMENT.read_text(encoding="utf-8").strip().split("\n\n")
    assert len(blocks) > 5
    for block in blocks:
        assert block.startswith("# "), block


def wanted() -> dict[str, str]:
    found = _OPTION.findall(FRAGMENT.read_text(encoding="utf-8"))
    assert len(found) > 25
    return dict(found)


def _name(tree: str) -> str:
    return Path(tree).name or "the guest's"


@pytest.fixture(scope="module", params=["", *filter(None, TREES.split(":"))], ids=_name)
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of a kernel's source says which options there are, as the guest's own package has it."""
    if request.param:
        return Path(request.param)
    folder = tmp_path_factory.mktemp("kernel")
    step = Step("kconfig", folder / "log", None, 0)
    paths = Paths()
    package = resolve_kernel(open_apt(paths, SUITE, None)).source
    (deb,) = open_apt(paths, SUITE, None).download(step, [package])
    member = f"./usr/src/{package.name}.tar.xz"
    patterns = ["*/Kconfig*", "*/scripts/*", "*/Makefile", "*/arch/x86/*", "*/include/linux/*"]
    unpack_inner(step, deb, member, folder / "source", patterns)
    return folder / "source"


def test_the_kernel_takes_every_option(kernel: Path, tmp_path: Path) -> None:
    """Linux' own configuration program, fed with the fragment, keeps each: dependencies hold."""
    environ = {**os.environ, "KCONFIG_ALLCONFIG": "", "LC_ALL": "C"}
    make = ["make", "-C", str(kernel), f"O={tmp_path}", "ARCH=x86_64"]
    subprocess.run([*make, "x86_64_defconfig"], env=environ, check=True, capture_output=True)
    config = tmp_path / ".config"
    config.write_text(config.read_text() + FRAGMENT.read_text(encoding="utf-8"))
    subprocess.run([*make, "olddefconfig"], env=environ, check=True, capture_output=True)
    made = dict(_OPTION.findall(config.read_text()))
    lost = {name: made.get(name) for name, value in wanted().items() if made.get(name) != value}
    assert lost == {}
    assert made.get("CRASH_CORE") or made.get("VMCORE_INFO"), "VMCOREINFO is there"


def test_pingpong_is_linked_before_the_others(kernel: Path) -> None:
    """So that it is the one to get the device, unless initcall_blacklist=pp_init leaves it out."""
    order = (kernel / "drivers/ntb/test/Makefile").read_text()
    assert order.index("ntb_pingpong.o") < order.index("ntb_tool.o") < order.index("ntb_perf.o")
