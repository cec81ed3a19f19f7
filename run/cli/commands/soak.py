# SPDX-License-Identifier: MIT
"""`python3 run soak`: the fault tests, many times over."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from run.base.config import CHECKOUT, Paths
from run.cli.building import build_options, install_options
from run.host.install import Policy, require
from run.make.prepare import Request, make_for_tests
from run.steps.steps import Steps
from run.steps.testtools import install_test_tools


@click.command("soak")
@click.option(
    "--count", type=click.IntRange(min=1), default=50, show_default=True, help="Times each fault."
)
@click.option(
    "--guests/--no-guests",
    default=True,
    help="Also faults of real guests, half a minute each.  [default: --guests]",
)
@build_options
@install_options
def command(
    count: int,
    guests: bool,
    build_dir: str | None,
    jobs: int,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
) -> int:
    """Repeat the fault tests: killed, frozen and rebooting peers, lost servers, hot-plugging.

    `python3 run test` does each of them three times. The results are printed as a table, and
    written to soak.md in the build folder.

    \b
    python3 run soak
    python3 run soak --count 1000 --no-guests

    Exit code: 0 if none failed.
    """
    from run.suites.soak import DEVICE, GUESTS, REPETITIONS, faults, table

    paths = Paths.of(build_dir)
    policy = Policy.of(yes=yes, no_install=no_install)
    steps = Steps(paths.logs)
    require(steps, "test", "run", policy=policy)
    install_test_tools(steps)
    make_for_tests(steps, paths, Request(jobs=jobs, mirror=debian_mirror, policy=policy))
    report = paths.build / "soak.xml"
    report.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pytest", *DEVICE, *(GUESTS if guests else ())]
    environment = {
        **os.environ,
        "NTBDBG_BUILD_DIR": str(paths.build),
        REPETITIONS: str(count),
    }
    argv.append(f"--junit-xml={report}")
    code = subprocess.run(argv, cwd=CHECKOUT, env=environment, check=False).returncode
    if report.exists():
        text = table(faults(report), count)
        (paths.build / "soak.md").write_text(text)
        click.echo(text)
    return 1 if code else 0
