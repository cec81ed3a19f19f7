# SPDX-License-Identifier: MIT
"""``python3 run COMMAND``: prepares the checkout's .venv and continues inside it.

This file and `run.bootstrap` use the standard library only, and parse on older Pythons too, so
that they can say what is missing.
"""

import sys
from pathlib import Path

# Python put run/ itself in front; modules here must not shadow the standard library's.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from run.bootstrap import main  # noqa: E402

if __name__ == "__main__":
    main(sys.argv[1:])
