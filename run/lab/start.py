# SPDX-License-Identifier: MIT
"""Starting a guest of a living lab again, from another process than the one that looks after it."""

from __future__ import annotations

import time

from ntbdbg.lab.manifest import GuestRecord, Manifest
from run.base.deadline import Deadline
from run.base.errors import RunError
from run.lab import choose as labs
from run.lab.lab import START, Say
from run.lab.name import holder
from run.lab.requests import StartRequest
from run.reach import ssh

#: seconds for the launcher to notice, besides those for QEMU to start
NOTICE = 10.0


def start(name: str | None, which: str, *, boot_timeout: float, say: Say) -> None:
    """Start a guest that ended, with the options it had; returns when it accepts ssh.

    :raises RunError: it runs, nobody looks after the lab any more, it did not start
    """
    manifest = labs.choose(name)
    record = labs.guest(manifest, which)
    if record.is_alive():
        raise RunError(f"{record.name} runs", hint="'python3 run status' shows it")
    paths = labs.paths_of(manifest.lab)
    if not manifest.is_live() or holder(paths) is None:
        raise RunError(
            f"nobody looks after lab {manifest.lab!r} any more: its guests all ended, or its"
            " launcher was killed",
            hint="'python3 run vms' starts anew",
        )
    request = StartRequest(paths, record.name)
    request.make()
    try:
        done = Deadline(START + NOTICE).poll(request.is_done)
    finally:
        request.withdraw()
    if not done:
        raise RunError("the launcher does not answer", hint="'python3 run status' shows the lab")
    if failure := request.failure():
        raise RunError(failure)
    say(f"{record.name}: booting, until it accepts ssh ...")
    wait_for_ssh(labs.guest(labs.load(manifest.lab), which), manifest, boot_timeout)
    say(f"{record.name} is up")


def wait_for_ssh(record: GuestRecord, manifest: Manifest, timeout: float) -> None:
    """Wait until a guest that boots accepts ssh; raises RunError if it does not."""
    port = record.ssh_port
    if port is None:
        return
    deadline = Deadline(timeout, sleep=time.sleep)

    def ready() -> bool:
        attempt = Deadline(min(ssh.TRIVIAL, deadline.remaining))
        return not record.is_alive() or (ssh.greets(port) and ssh.answers(port, attempt))

    if not deadline.poll(ready):
        raise RunError(f"{record.name} did not accept ssh within {timeout:g} s")
    if not record.is_alive():
        raise RunError(
            f"{record.name} ended while booting",
            hint=f"'python3 run status --name {manifest.lab}' shows how",
        )
