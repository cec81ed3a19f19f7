# SPDX-License-Identifier: MIT
"""`python3 run vms`."""

from __future__ import annotations

from typing import Any

import click

from run.cli.launching import launch, launch_options
from run.vm.options import CLIENTS, DEFAULT_GUESTS, MOST_GUESTS, NTBS


@click.command("vms")
@click.option(
    "--vms",
    type=click.IntRange(DEFAULT_GUESTS, MOST_GUESTS),
    default=DEFAULT_GUESTS,
    show_default=True,
    metavar="N",
    help="How many VMs; options, ports and RAM files of VM 3 to 6 follow those of VM 2.",
)
@click.option(
    "--ntb",
    type=click.Choice(NTBS),
    default=NTBS[0],
    show_default=True,
    help="The kind of NTB port: idt-ntb-ivshmem, or ntb-epf-ivshmem for two guests.",
)
@click.option(
    "--client",
    type=click.Choice(CLIENTS),
    help="Which driver uses the NTB in the guests of the quick build; netdev, an interface with"
    " 10.77.0.N and fd77::N, needs --ntb=epf.  [default: idt: pingpong, epf: netdev]",
)
@launch_options
def command(vms: int, **given: Any) -> int:
    """Start two or more VMs joined by an NTB, and look after them until Ctrl-C.

    Each option of QEMU's or the kernel's is appended to a default, or replaces it by its
    -override. Everything listens on 127.0.0.1 only. As root, without password:
    ssh root@localhost -p7001 and -p7002; serial consoles by telnet on 8001 and 8002.

    \b
    Examples:
      python3 run vms --detach
      python3 run vms --qemu-map-ram-to-shm=1000
      python3 run vms --cmdline-common="initcall_blacklist=pp_init"
      python3 run vms --trace 'idt_ntb_db_*' --ivshmem-common-opts=db-loopback=on
      python3 run vms --ntb=epf --client=netdev --detach
      python3 run vms --vms=3 --vm3-opts="-device virtio-rng-pci"
      python3 run vms --dry-run

    Exit code: 0 after Ctrl-C or once detached, 1 failed, 2 usage, 3 the host lacks something,
    130 interrupted while starting.
    """
    return launch(vms, given)
