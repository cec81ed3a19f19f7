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


def accelerator() -> str:
    """``kvm`` where that is backed by hardware, else ``tcg``."""
    return "tcg" if why_not() else "kvm"
