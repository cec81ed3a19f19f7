# SPDX-License-Identifier: MIT
"""`python3 run test`: everything tests need, and then the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from run.base.config import CHECKOUT, Paths
from run.base.errors import RunError
from run.cli.building import build_options, install_options
from run.host.install import Policy, require
from run.make.prepare import Request, make_for_tests
from run.qemu import wrynose
from run.steps.steps import Steps
from run.steps.testtools import install_test_tools
from run.suites.suite import exit_code, run_whole


@click.command(
    "test",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@build_options
@install_options
@click.option("--no-build", is_flag=True, help="Take the builds as they are.")
@click.option("--seed", type=int, help="Repeat the order of an earlier run, which told it.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]...")
def command(
    build_dir: str | None,
    jobs: int,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
    no_build: bool,
    seed: int | None,
    arguments: tuple[str, ...],
) -> int:
    """Run the project's tests, all of them unless told otherwise.

    Installs what they need, builds QEMU and a guest or takes them from the cache, and hands
    the rest of the line to pytest, whose exit code it ends with. Options of our own come first.
    The order is another one each time; it is told, and --seed repeats it.

    \b
    python3 run test
    python3 run test --seed 1234
    python3 run test tests/run -x
    python3 run test --no-build -k doorbell
    """
    paths = Paths.of(build_dir)
    steps = Steps(paths.logs)
    policy = Policy.of(yes=yes, no_install=no_install)
    purposes = ("test", "run") if no_build else ("test", "run", "guest", "qemu")
    require(steps, *purposes, policy=policy)
    install_test_tools(steps)
    if not no_build:
        request = Request(jobs=jobs, mirror=debian_mirror, policy=policy)
        make_for_tests(steps, paths, request)
        wrynose.fetch(steps, paths, jobs=jobs, mirror=debian_mirror)
    environment = {**os.environ, "NTBDBG_BUILD_DIR": str(paths.build)}
    try:
        if not arguments:
            return run_whole(paths.logs, environment, seed)
        order = [] if seed is None else [f"--seed={seed}"]
        return _pytest(environment, [*order, *arguments])
    except OSError as error:
        raise RunError(f"cannot run pytest: {error.strerror}") from error


def _pytest(environment: Mapping[str, str], arguments: list[str]) -> int:
    """Run pytest where the user is if that is in the checkout, else at its root."""
    here = Path.cwd()
    inside = here.is_relative_to(CHECKOUT)
    named = [word for word in arguments if not word.startswith("-")]
    tests = [] if any(_is_test(word, here if inside else CHECKOUT) for word in named) else ["tests"]
    argv = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pyproject.toml"), *arguments]
    argv += [str(CHECKOUT / name) for name in tests]
    done = subprocess.run(argv, cwd=here if inside else CHECKOUT, env=environment, check=False)
    return exit_code(done)


def _is_test(word: str, folder: Path) -> bool:
    """Whether an argument names tests, as ``tests/run/test_x.py::test_y`` does."""
    return (folder / word.partition("::")[0]).exists()
