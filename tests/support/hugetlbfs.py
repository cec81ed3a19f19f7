# SPDX-License-Identifier: MIT
"""A folder on hugetlbfs with pages of its own, where this machine and its rules allow one."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = 2 << 20
POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def free_pages() -> int:
    """Huge pages of the host that nobody has."""
    return int((POOL / "free_hugepages").read_text())


@contextlib.contextmanager
def huge_folder(folder: Path, pages: int) -> Iterator[Path]:
    """`folder` with `pages` huge pages mounted on it; skips the test where that cannot be had."""
    with _reserved(pages):
        folder.mkdir(exist_ok=True)
        options = f"pagesize=2M,size={pages * PAGE},min_size={pages * PAGE}"
        mount = ["mount", "-t", "hugetlbfs", "none", str(folder), "-o", options]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"hugetlbfs cannot be mounted here: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def _reserved(pages: int) -> Iterator[None]:
    """So many pages more than the host has now, given back afterwards."""
    setting = POOL / "nr_hugepages"
    try:
        before = int(setting.read_text())
        setting.write_text(str(before + pages))
    except OSError as error:
        pytest.skip(f"no huge pages can be had here: {setting}: {error.strerror}")
    try:
        if free_pages() < pages:
            pytest.skip(f"the host has not {pages} huge pages of 2 MiB in one piece each")
        yield
    finally:
        setting.write_text(str(before))
