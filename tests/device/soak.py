# SPDX-License-Identifier: MIT
"""How often a fault is repeated: a few times, or as often as $NTBDBG_SOAK says."""

from __future__ import annotations

import os

REPETITIONS = int(os.environ.get("NTBDBG_SOAK") or 3)
