# SPDX-License-Identifier: MIT
"""The development tree under Yocto: devtool extracts and patches it, bitbake builds from it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from run.base.config import Paths
from run.base.errors import RunError
from run.devenv.enter import Entered, examine, renew
from run.devenv.finish import Finished, finish
from run.devenv.git import Git
from run.devenv.laying import folder_tree
from run.devenv.patches import Patch
from run.devenv.series import Series
from run.devenv.state import BASE, DevTree
from run.host.install import Policy
from run.qemu.build import OVERLAY
from run.steps.steps import Steps
from run.yocto.build import alone, check_host, checkout, run_kas
from run.yocto.layout import Layout, shell_argv

RECIPE = "qemu-system-native"

FINISH = "python3 run finish_qemu_devenv --image=yocto"


def enter_yocto(steps: Steps, paths: Paths, *, policy: Policy) -> Entered:
    """The tree of the recipe's QEMU, with openembedded-core's patches below ours."""
    layout, series = Layout(paths), Series()
    with alone(steps, layout):
        old = examine(layout.qemu_tree, finish=FINISH)
        if old is None:
            check_host(steps, layout, policy)
            checkout(steps, layout)
            with steps.step("yocto: devtool modify") as step:
                run_kas(step, layout, shell_argv(extract_command(layout)))
            made = adopt(Git(layout.qemu_tree), series.load())
            return replace(renew(steps, made, series, OVERLAY), fresh=True)
        return renew(steps, old, series, OVERLAY)


def finish_yocto(steps: Steps, paths: Paths, *, dry_run: bool = False) -> Finished:
    """Take over what was committed; bitbake builds from the patches that come of it."""
    layout = Layout(paths)
    tree = DevTree.at(layout.qemu_tree)
    if tree is None:
        raise RunError(
            f"{layout.qemu_tree} is no tree that was entered",
            hint="'python3 run enter_qemu_devenv --image=yocto' makes one",
        )
    with alone(steps, layout):
        return finish(steps, tree, Series(), OVERLAY, dry_run=dry_run)


def extract_command(layout: Layout) -> str:
    """Let devtool extract and patch the source, and give the recipe back at once.

    What is built comes from the layer's patches, here as in the quick build: kas writes the list of
    layers anew at each call, and devtool's workspace would be gone from it the next time.
    """
    modify = shlex.join(["devtool", "modify", RECIPE, str(layout.qemu_tree)])
    return f"{modify} && devtool reset --no-clean {RECIPE}"


def adopt(git: Git, series: Sequence[Patch]) -> DevTree:
    """Find where in devtool's commits ours begin, and remember what is below as the base.

    :raises RunError: the last commits are not the series
    """
    subjects = git.lines("log", f"-{len(series)}", "--reverse", "--format=%s") if series else []
    wanted = [patch.subject for patch in series]
    if subjects != wanted:
        raise RunError(
            f"{git.tree}: the last commits are {subjects}, not the layer's patches {wanted}",
            hint="does kas.yml name meta-ntb?",
        )
    base = git("rev-parse", f"HEAD~{len(series)}").strip()
    tree = DevTree(git)
    git("update-ref", BASE, base)
    tree.switch(tree.get("HEAD"))  # away from devtool's branch, onto that of all such trees
    tree.settle(tree.get("HEAD"), folder_tree(git, OVERLAY))
    return tree
