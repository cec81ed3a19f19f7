# SPDX-License-Identifier: MIT
"""Whether KVM is worth using.

/dev/kvm can be there and be useless: on a host that is itself a guest without nested hardware
support, a guest was still unpacking its kernel after 20 s that TCG booted to a shell in 5 s.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
DEVICE = Path("/dev/kvm")

#: processors per guest on a host that can afford them
MOST_PROCESSORS = 4


def why_not(cpuinfo: Path = CPUINFO, device: Path = DEVICE) -> str | None:
    """What speaks against KVM here; None if it is backed by hardware and ours to open."""
    try:
        flags = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        flags = ""
    if re.search(r"^flags\s*:.*\b(?:vmx|svm)\b", flags, re.MULTILINE) is None:
        there = f"{device} is there, but " if device.exists() else ""
        return f"{there}the processor shows neither vmx nor svm"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"there is no {device}; is the module kvm_intel or kvm_amd loaded?"
    except PermissionError:
        return f"{device} may not be opened by this user; usermod -aG kvm USER, then log in again"
    except OSError as error:
        return f"{device}: {error.strerror}"
    return None


def default_processors(
    accelerator: str, guests: int = 2, host_processors: int | None = None
) -> int:
    """Processors per guest where nobody asked for a number.

    Emulated processors are threads that a guest expects to run at once. Where all guests have more
    of them than the host has processors, their timers starve: an application processor of Linux was
    seen to stop for good after a lost timer interrupt, about once in twenty boots.
    """
    if accelerator == "kvm":
        return MOST_PROCESSORS
    host = host_processors if host_processors is not None else os.cpu_count() or 1
    return max(1, min(MOST_PROCESSORS, host // max(2, guests)))


def accelerator() -> str:
    """``kvm`` where that is backed by hardware, else ``tcg``."""
    return "tcg" if why_not() else "kvm"
