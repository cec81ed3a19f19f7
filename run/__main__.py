# SPDX-License-Identifier: MIT
"""``python3 run COMMAND``: prepares the checkout's .venv and continues inside it.

This file, `run.bootstrap` and `run.base.forroot` use the standard library only. This one is plain
enough for any Python, so that an old one gets to the sentence that says what is wrong.
"""

import os
import sys

OLDEST_PYTHON = (3, 11)
EXIT_HOST = 3

if sys.version_info < OLDEST_PYTHON:
    wanted, found = (".".join(map(str, v)) for v in (OLDEST_PYTHON, sys.version_info[:3]))
    sys.stderr.write(
        "run: Python %s or newer is needed, this is %s; install it, then: python%s run\n"  # noqa: UP031
        % (wanted, found, wanted)
    )
    sys.exit(EXIT_HOST)

# Python put run/ itself in front; modules here must not shadow the standard library's.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

EXIT_INTERRUPTED = 130

if __name__ == "__main__":
    try:
        from run.bootstrap import main

        main(sys.argv[1:])
    except KeyboardInterrupt:  # also while modules are imported
        sys.stderr.write("run: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
