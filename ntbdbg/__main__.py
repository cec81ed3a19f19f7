# SPDX-License-Identifier: MIT
"""``python3 -m ntbdbg`` is the command ``ntbdbg``."""

import sys

from ntbdbg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
