# SPDX-License-Identifier: MIT
"""The process ``ntbdbg``, which is ``python3 -m ntbdbg`` as well.

A short command's time is mostly the interpreter's start and end. `main` is the command without
what is done about that here, for programs that go on afterwards.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import NoReturn

GARBAGE = 50_000
"""Objects made before a search for garbage; there is none while modules are imported."""


def run() -> NoReturn:
    """Run the command line of this process, and end it."""
    gc.set_threshold(GARBAGE)
    from ntbdbg.cli.main import main

    status = main()
    for stream in (sys.stdout, sys.stderr):
        # Closed, or nobody reads it: nobody to tell either.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # Nothing is left to be done; taking every module apart would take as long as a dump.
    os._exit(status)


if __name__ == "__main__":
    run()
