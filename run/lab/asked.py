# SPDX-License-Identifier: MIT
"""One guest's monitor, for commands that are about that guest alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ntbdbg.errors import NtbdbgError
from ntbdbg.lab.manifest import GuestRecord
from ntbdbg.lab.qmp import Qmp
from run.base.errors import RunError


@contextmanager
def asked(record: GuestRecord) -> Iterator[Qmp]:
    """The monitor, connected.

    :raises RunError: it does not answer, or refuses; so is whatever else the toolkit raises within
    """
    try:
        with Qmp(record.qmp, who=record.name) as qmp:
            yield qmp
    except NtbdbgError as error:
        raise RunError(error.message, hint=error.hint) from error
