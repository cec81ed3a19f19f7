# SPDX-License-Identifier: MIT
"""What a user types for something that only root may do. Standard library only."""

from __future__ import annotations

import os
import shutil


def for_root(*commands: str) -> str:
    """What a user types to have all `commands` done by root; a bare Debian has no sudo."""
    if os.geteuid() == 0:
        return " && ".join(commands)
    if shutil.which("sudo"):
        return " && ".join(f"sudo {command}" for command in commands)
    return f"su -c '{' && '.join(commands)}'"
