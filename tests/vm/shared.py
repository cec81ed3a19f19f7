# SPDX-License-Identifier: MIT
"""Labs that modules share: whoever asks gets a sound one, and another one if somebody broke it.

A module may change anything in a lab, but puts it back: the client, windows, what it patched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from subprocess import TimeoutExpired

from ntbdbg.errors import NtbdbgError
from tests.support.checkout import TRACE
from tests.vm.support import Lab

#: what the guests of most modules have, so that they can be the same: whatever one of them wants
PAIR = (
    *("--trace", TRACE),
    # Processors, and page tables of four levels, where the first guest has one and five.
    "--vm2-opts=-smp 2 -cpu max,la57=off",
)

TOOL = (
    # Without ntb_pingpong, so that ntb_tool is the client of the NTB device.
    "--cmdline-common=initcall_blacklist=pp_init",
    # A bridge that nobody uses: our devices must not be put behind it.
    *("--common-opts", "-device pcie-root-port,id=spare,chassis=9"),
)

NUMBERS = (1, 2)
BROKEN = (AssertionError, NtbdbgError, TimeoutExpired)
"""What comes of asking a lab of which something died."""

DIED = 1 << 7
"""In /proc/sys/kernel/tainted: something oopsed."""


class SharedLabs:
    """Running labs by what they were started with. Those that nobody uses stand still.

    :param make: makes a lab that is not started yet
    """

    def __init__(self, make: Callable[..., Lab]) -> None:
        self._make = make
        self._labs: dict[tuple[str, ...], Lab] = {}

    @contextmanager
    def lab(self, *options: str) -> Iterator[Lab]:
        """A lab that runs, both of whose guests answer."""
        lab = self._labs.get(options)
        if lab is None or not awakes(lab):
            if lab is not None:
                lab.stop("--no-keep-ram", "--quiet")
            lab = self._labs[options] = self._make(*options).start()
            assert [lab.complaints(number) for number in NUMBERS] == ["", ""], "of its boot"
        yield lab
        lab.hang_up()
        with suppress(*BROKEN):  # whoever wants it next gets another one
            lab.ntbdbg("freeze")

    def wake(self) -> None:
        """Let all go on: a guest that stands still cannot power down."""
        for lab in self._labs.values():
            with suppress(*BROKEN):
                lab.ntbdbg("resume")


def awakes(lab: Lab) -> bool:
    """Whether nothing of it died or hangs now that it goes on."""
    try:
        lab.ntbdbg("resume")
        manifest = lab.manifest
        assert manifest.link is not None
        processes = [manifest.launcher, manifest.link.server, *(g.process for g in manifest.guests)]
        assert all(process is not None and process.is_alive() for process in processes)
        for number in NUMBERS:
            assert not int(lab.sh(number, "cat /proc/sys/kernel/tainted")) & DIED
        lab.begin_log()
    except BROKEN:
        return False
    return True
