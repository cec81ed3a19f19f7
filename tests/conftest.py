# SPDX-License-Identifier: MIT
"""What all tests share: no test fails because the machine is slow."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("ntbdbg", deadline=None)
# Where nobody looks for new counterexamples, the same examples are tried each time.
settings.register_profile("ci", parent=settings.get_profile("ntbdbg"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "ntbdbg")

# Whoever a shell without job control starts in the background ignores this, and so would the
# programs that are interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)
