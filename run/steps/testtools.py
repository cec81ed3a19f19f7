# SPDX-License-Identifier: MIT
"""What only tests need, in .venv."""

from __future__ import annotations

import sys
from pathlib import Path

from run.base.config import CHECKOUT
from run.steps.steps import Steps
from run.steps.store import digest


def install_test_tools(steps: Steps) -> None:
    """pytest and what else only tests need; nothing if that was done."""
    project = CHECKOUT / "pyproject.toml"
    stamp = Path(sys.prefix) / ".ntbdbg-test-stamp"
    wanted = digest([project.read_bytes(), sys.version])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    with steps.step("test: install pytest and its like") as step:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        step.run([*pip, "install", "--editable", f"{CHECKOUT}[test]"])
    stamp.write_text(wanted, encoding="utf-8")
