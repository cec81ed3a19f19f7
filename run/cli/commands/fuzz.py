# SPDX-License-Identifier: MIT
"""`python3 run fuzz`: hostile guests against the device."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from run.base.config import CHECKOUT, Paths
from run.cli.building import build_options, install_options
from run.host.install import Policy, require
from run.make.prepare import Request, make
from run.steps.steps import Steps
from run.steps.testtools import install_test_tools


@click.command("fuzz")
@click.option(
    "--seconds",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="How long, without the build.",
)
@click.option("--seed", type=int, help="Repeat the traffic of an earlier run.  [default: random]")
@click.option(
    "--ntb",
    type=click.Choice(["idt", "epf"]),
    default="idt",
    show_default=True,
    help="Which kind of port: idt-ntb-ivshmem or ntb-epf-ivshmem.",
)
@click.option(
    "--asan/--no-asan",
    default=True,
    help="Use the device with AddressSanitizer and UBSan, or as it is.  [default: --asan]",
)
@build_options
@install_options
def command(
    seconds: int,
    seed: int | None,
    ntb: str,
    asan: bool,
    build_dir: str | None,
    jobs: int,
    debian_mirror: str | None,
    yes: bool,
    no_install: bool,
) -> int:
    """Drive the device as two hostile guests would, while its shared page is overwritten.

    Random and structured traffic to registers, configuration space and windows of two linked
    ports. Ends with 1 if a QEMU dies, a sanitizer complains, or anything changes that these guests
    must not reach. With --asan our device is compiled with AddressSanitizer and UBSan.

    \b
    python3 run fuzz
    python3 run fuzz --seconds 3600
    python3 run fuzz --ntb=epf
    python3 run fuzz --no-asan --seed 7
    """
    paths = Paths.of(build_dir)
    policy = Policy.of(yes=yes, no_install=no_install)
    chosen = paths.sanitized if asan else paths
    steps = Steps(chosen.logs)
    require(steps, "test", policy=policy)
    request = Request(what=["qemu"], jobs=jobs, mirror=debian_mirror, policy=policy, sanitize=asan)
    install_test_tools(steps)
    make(steps, chosen, request)
    words = ["--seconds", str(seconds), "--ntb", ntb]
    words += ["--seed", str(seed)] if seed is not None else []
    argv = [sys.executable, "-m", "tests.fuzz", *words]
    environment = {**os.environ, "NTBDBG_BUILD_DIR": str(chosen.build)}
    return subprocess.run(argv, cwd=CHECKOUT, env=environment, check=False).returncode
