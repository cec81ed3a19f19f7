# SPDX-License-Identifier: MIT
"""`python3 run vm`."""

from __future__ import annotations

from typing import Any

import click

from run.cli.launching import launch, launch_options, refuse_unused

#: meant for two VMs and their link
_UNUSED = [
    "ivshmem-common-opts",
    "ivshmem-common-opts-override",
    "vm2-opts",
    "vm2-opts-override",
    "server-opts",
    "server-opts-override",
]


@click.command("vm")
@launch_options
def command(**given: Any) -> int:
    """Start one VM, called qemu, and look after it until Ctrl-C.

    Takes the same options as `vms`; those about the link have no effect.

    \b
    Examples:
      python3 run vm
      python3 run vm --qemu-map-ram-to-shm=4096 --detach
      python3 run vm --vm1-opts="-device edu" --dry-run
    """
    refuse_unused(given, _UNUSED)
    return launch(1, given)
