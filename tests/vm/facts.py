# SPDX-License-Identifier: MIT
"""What a guest says of itself, for comparison with what ntbdbg finds in its RAM."""

from __future__ import annotations

import base64
import gzip
import re
import struct
from typing import Any, NamedTuple

PF_KTHREAD = 0x20_0000
PCI_SCRIPT = """
cd /sys/bus/pci/devices
for slot in *; do
  driver=$(readlink $slot/driver || true)
  echo "$slot $(cat $slot/vendor $slot/device $slot/class $slot/irq | xargs) ${driver##*/}"
  sed 's/^/  /' $slot/resource
done
"""


class Process(NamedTuple):
    """A line of /proc/PID/stat."""

    name: str
    ppid: int
    is_kernel: bool
    threads: int


def processes(lab: Any, number: int) -> dict[int, Process]:
    """By pid, all that existed while /proc was read."""
    found = {}
    text = lab.sh(number, "cat /proc/[0-9]*/stat 2>/dev/null; true")
    for pid, name, rest in re.findall(r"^(\d+) \((.*)\) (.*)$", text, re.MULTILINE):
        words = rest.split()
        kernel = bool(int(words[6]) & PF_KTHREAD)
        found[int(pid)] = Process(lasting(name), int(words[1]), kernel, int(words[17]))
    return found


def lasting(name: str) -> str:
    """The name of a process; of a worker without what it did last, which changes."""
    return re.sub(r"^(kworker/[\w:]+)[-+].*", r"\1", name)


def processors(lab: Any, number: int) -> list[int]:
    """Those that are online."""
    online = lab.sh(number, "cat /sys/devices/system/cpu/online")
    first, _, last = online.partition("-")
    return list(range(int(first), int(last or first) + 1))


def pci_devices(lab: Any, number: int) -> list[dict[str, Any]]:
    """Devices of sysfs with their resources that are not empty, as `ntbdbg devices` has them."""
    found: list[dict[str, Any]] = []
    for line in lab.sh(number, PCI_SCRIPT).splitlines():
        words = line.split()
        if not line.startswith(" "):
            slot, vendor, device, kind, irq, *driver = words
            found.append(
                {
                    "slot": slot,
                    "vendor": int(vendor, 16),
                    "device": int(device, 16),
                    "class": int(kind, 16),
                    "irq": int(irq),
                    "driver": driver[0] if driver else None,
                    "resources": [],
                }
            )
            continue
        start, end, flags = (int(word, 16) for word in words)
        if flags:
            found[-1]["resources"].append([start, end - start + 1, flags])
    return found


def words64(text: str) -> tuple[int, ...]:
    """Numbers of 64 bits that a guest sent by ``gzip -c FILE | base64``."""
    raw = gzip.decompress(base64.b64decode(text))
    return struct.unpack(f"<{len(raw) // 8}Q", raw)
