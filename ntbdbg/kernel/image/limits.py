# SPDX-License-Identifier: MIT
"""What no kernel exceeds; more of it is damage."""

from __future__ import annotations

MOST_CPUS = 8192
"""CONFIG_NR_CPUS of x86 with MAXSMP (arch/x86/Kconfig)."""
