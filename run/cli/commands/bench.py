# SPDX-License-Identifier: MIT
"""`python3 run bench`: how fast, against what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from run.base.config import CHECKOUT, Paths
from run.cli.building import build_options, install_options
from run.host.install import Policy, require
from run.make.prepare import Request, make
from run.steps.steps import Steps
from run.steps.testtools import install_test_tools


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "show_names", is_flag=True, help="Print the names, measure nothing.")
@click.option(
    "--guests/--no-guests",
    default=True,
    help="Also those that start QEMUs and guests.  [default: --guests]",
)
@build_options
@install_options
def command(
    names: tuple[str, ...],
    show_names: bool,
    guests: bool,
    build_dir: str | None,
    jobs: int,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
) -> int:
    """Measure, and compare with budgets and with other programs.

    Each benchmark takes turns with what it is compared with, so that a slow machine slows both.
    Results are printed as they come, and written as a table to bench.md in the build folder.

    \b
    python3 run bench
    python3 run bench window doorbell
    python3 run bench --no-guests

    Exit code: 0 if every budget is kept, 1 if not or if a benchmark failed.
    """
    from run.suites import bench

    if show_names:
        click.echo("\n".join(bench.programs()))
        return 0
    chosen = bench.choose(names, guests=guests)
    paths = Paths.of(build_dir)
    _prepare(paths, set(chosen) & bench.WITH_QEMU, jobs, debian_mirror, yes, no_install)
    collected = paths.build / "bench.jsonl"
    collected.parent.mkdir(parents=True, exist_ok=True)
    collected.unlink(missing_ok=True)
    failed = [name for name, path in chosen.items() if _run(path, paths, collected)]
    text = bench.table(bench.load(collected))
    (paths.build / "bench.md").write_text(text, encoding="utf-8")
    click.echo(f"\n{text}")
    if failed:
        click.echo(f"over a budget, or failed: {', '.join(failed)}", err=True)
    return 1 if failed else 0


def _prepare(
    paths: Paths,
    with_qemu: set[str],
    jobs: int,
    mirror: str | None,
    yes: bool,
    no_install: bool,
) -> None:
    steps = Steps(paths.logs)
    policy = Policy.of(yes=yes, no_install=no_install)
    require(steps, "bench", *(("run", "guest") if with_qemu else ()), policy=policy)
    install_test_tools(steps)
    if with_qemu:
        make(steps, paths, Request(jobs=jobs, mirror=mirror, policy=policy))


def _run(program: Path, paths: Paths, collected: Path) -> int:
    from run.suites.bench import RESULTS

    environment = {
        **os.environ,
        "NTBDBG_BUILD_DIR": str(paths.build),
        RESULTS: str(collected),
    }
    argv = [sys.executable, str(program)]
    return subprocess.run(argv, cwd=CHECKOUT, env=environment, check=False).returncode
