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

INTERRUPTED = 130
"""What a shell makes of a program that Ctrl-C ended; `ExitStatus` is not imported yet."""


def run() -> NoReturn:
    """Run the command line of this process, and end it."""
    try:
        status = _main()
    except KeyboardInterrupt:  # while modules were imported, or once more at the end
        status = INTERRUPTED
    # Nothing is left to be done; taking every module apart would take as long as a dump.
    os._exit(status)


def _main() -> int:
    gc.set_threshold(GARBAGE)
    from ntbdbg.cli.main import OutputError, main

    status = main()
    for stream in (sys.stdout, sys.stderr):
        # Closed, or nobody reads it: nobody to tell either.
        with contextlib.suppress(AttributeError, OSError, OutputError, ValueError):
            stream.flush()
    return status


if __name__ == "__main__":
    run()
