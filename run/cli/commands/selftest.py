# SPDX-License-Identifier: MIT
"""`python3 run selftest`."""

from __future__ import annotations

import subprocess

import click

from run.base.config import launcher
from run.base.errors import RunError
from run.lab import choose as labs
from run.reach import ssh

LAB = "selftest"


@click.command("selftest")
@click.option("--build-dir", metavar="DIR", help="Where QEMU and the guest were built [./build].")
@click.option(
    "--order",
    type=click.IntRange(12, 40),
    metavar="N",
    help="ntb_perf moves 2^N bytes each way.  [default: 20; the script's own is 32]",
)
@click.option("--ssh-port-base", default=7001, show_default=True, metavar="PORT")
@click.option("--console-port-base", default=8001, show_default=True, metavar="PORT")
@click.option("--keep", is_flag=True, help="Leave the two guests running at the end.")
def command(
    build_dir: str | None,
    order: int | None,
    ssh_port_base: int,
    console_port_base: int,
    keep: bool,
) -> int:
    """Run Linux' own NTB test between two VMs.

    tools/testing/selftests/ntb/ntb_test.sh, unmodified, in VM 1 with -r VM 2: ports, link,
    doorbells, messages, every window, ping-pong, throughput. What it prints is shown. The
    device has x-mirror-mw=on, which no hardware has, because ntb_perf of Linux 6.1 needs it.

    \b
    Examples:
      python3 run selftest
      python3 run selftest --order 30

    Exit code: 0 if each step passed, or is one that this hardware does not have; 1 otherwise.
    """
    from run.suites.selftest import PERF_ORDER, VMS, outcomes, script

    folder = [] if build_dir is None else ["--build-dir", build_dir]
    ports = ["--ssh-port-base", str(ssh_port_base), "--console-port-base", str(console_port_base)]
    _launcher("stop", "--name", LAB, "--quiet")
    try:
        _launcher("vms", "--name", LAB, "--detach", *ports, *folder, *VMS, quiet=True)
        first, second = labs.load(LAB).guests
        assert first.ssh_port is not None
        assert second.ssh_port is not None
        click.echo("ntb_test.sh, with x-mirror-mw=on for its ntb_perf step:\n")
        words = script(second.ssh_port, order or PERF_ORDER)
        lines, code = _stream(ssh.argv(first.ssh_port, [words]))
    finally:
        if not keep:
            _launcher("stop", "--name", LAB, "--quiet")
    steps = outcomes(lines)
    failed = [step for step in steps if not step.is_good]
    if code or failed or not steps:
        what = failed[0].title if failed else f"the script ended with {code}"
        raise RunError(
            f"the selftest failed: {what}", hint="with --keep the guests stay to be looked at"
        )
    click.echo(f"\n{len(steps)} steps, none failed")
    return 0


def _stream(argv: list[str]) -> tuple[list[str], int]:
    """Run it, show its lines as they come; gives them, and its exit code."""
    lines = []
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            click.echo(line, nl=False)
    return lines, process.returncode


def _launcher(*arguments: str, quiet: bool = False) -> None:
    argv = [*launcher(), *arguments]
    output = subprocess.DEVNULL if quiet else None
    code = subprocess.run(argv, stdout=output, check=False).returncode
    if code:
        raise click.exceptions.Exit(code)
