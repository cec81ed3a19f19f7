# SPDX-License-Identifier: MIT
"""The cable between one guest's NT port and the switch: pulled, and plugged in again."""

from __future__ import annotations

from collections.abc import Iterator

from ntbdbg.errors import QmpError
from ntbdbg.lab.manifest import GuestRecord
from ntbdbg.lab.qmp import Qmp
from run.base.errors import RunError
from run.lab.asked import asked
from run.vm.argv import DEVICES

#: where QEMU keeps devices, those that were given no id first
_PLACES = ("/machine/peripheral-anon", "/machine/peripheral")

_TYPES = {f"child<{words.split(',')[0]}>" for words in DEVICES.values()}
_PROPERTY = "link"


def plug(record: GuestRecord, *, up: bool) -> bool:
    """Plug the cable in, or pull it; False if it was so already.

    :raises RunError: the guest has no port, or its device no cable
    """
    with asked(record) as qmp:
        ports = list(_ports(qmp))
        if not ports:
            raise RunError(
                f"{record.name} has no NTB port", hint="'python3 run vms' starts linked guests"
            )
        changed = [_plug(qmp, record, port, up) for port in ports]
        return any(changed)


def _ports(qmp: Qmp) -> Iterator[str]:
    """QEMU's paths of the guest's NT ports."""
    for place in _PLACES:
        for child in qmp.execute("qom-list", path=place):
            if child["type"] in _TYPES:
                yield f"{place}/{child['name']}"


def _plug(qmp: Qmp, record: GuestRecord, port: str, up: bool) -> bool:
    try:
        if qmp.execute("qom-get", path=port, property=_PROPERTY) == up:
            return False
    except QmpError as error:
        raise RunError(
            f"the device of {record.name} has no cable: its QEMU is older",
            hint="'python3 run build qemu', then start the lab anew",
        ) from error
    qmp.execute("qom-set", path=port, property=_PROPERTY, value=up)
    return True
