# SPDX-License-Identifier: MIT
"""Which processes are guests of this user's labs."""

from __future__ import annotations

import contextlib

from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import Manifest, lab_files
from ntbdbg.lab.sources.hostguests import Known


def known_guests() -> Known:
    """Guests of all labs whose run.json can be read, whether or not they still run."""
    found: dict[tuple[int, int], tuple[str, str]] = {}
    with contextlib.suppress(NtbdbgError):  # somebody else's folder: nothing in it is believed
        for lab, path in lab_files().items():
            with contextlib.suppress(NtbdbgError):
                for guest in Manifest.load(path).guests:
                    if guest.process is not None:
                        process = guest.process.pid, guest.process.start_time
                        found[process] = guest.name, lab
    return found
