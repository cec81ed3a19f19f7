# SPDX-License-Identifier: MIT
"""Linux' own test of NTB drivers, tools/testing/selftests/ntb/ntb_test.sh, between two guests.

It runs in VM 1 and reaches VM 2 by ssh, which leads over the host: 10.0.2.2 is the host's
loopback as a guest on QEMU's user network sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from run.guest.initramfs import SELFTEST

HOST = "10.0.2.2"

#: how a guest names its one NTB device; `VMS` puts the port at the same slot in each
DEVICE = "$(ls /sys/bus/ntb/devices)"

#: what the link must be like: ntb_perf of Linux 6.1 writes through another window than it programs
VMS = ("--ivshmem-common-opts=x-mirror-mw=on",)

#: bytes that ntb_perf moves, as a power of two
PERF_ORDER = 20

#: words after which a step is over, as it should be
GOOD = ("Passed", "Unsupported", "Not doing MSI tests")


def script(ssh_port: int, order: int = PERF_ORDER) -> str:
    """The shell command for VM 1.

    :param ssh_port: of VM 2, on the host
    """
    # The client of these takes a port behind the name: HOST/PORT.
    remote = f"{HOST}/{ssh_port}"
    return f"/{SELFTEST} -r {remote} -p {order} {DEVICE} {DEVICE} 2>&1"


@dataclass(frozen=True)
class Outcome:
    """A step of the script.

    :ivar verdict: its last word: ``Passed``, ``Unsupported``, …; empty if it never came to one
    """

    title: str
    verdict: str

    @property
    def is_good(self) -> bool:
        """Whether it passed, or the hardware has no such thing."""
        return self.verdict.startswith(GOOD)


def outcomes(lines: Sequence[str]) -> list[Outcome]:
    """The steps that the script's output tells of."""
    return list(_outcomes(lines))


def _outcomes(lines: Sequence[str]) -> Iterator[Outcome]:
    title: str | None = None
    for line in lines:
        text = line.strip()
        if text.startswith(("Running ", "Starting ntb_msi_test")):
            if title is not None:
                yield Outcome(title, "")
            title = text
        elif title is not None and text.startswith(GOOD):
            yield Outcome(title, text)
            title = None
    if title is not None:
        yield Outcome(title, "")
