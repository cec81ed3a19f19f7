# SPDX-License-Identifier: MIT
"""What commands about the link share: where its page is, and who is on which port."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ntbdbg.errors import TargetError
from ntbdbg.lab.capturelabs import in_capture

if TYPE_CHECKING:
    from ntbdbg.cli.context import AppContext
    from ntbdbg.ntb.model import Link
    from ntbdbg.ntb.sharedpage import SharedPage

F = TypeVar("F", bound=Callable[..., Any])

page_option = click.option(
    "--page",
    metavar="PATH",
    type=click.Path(),
    help="The link's shared page, where no run.json knows it; guests are then called portN.",
)


def open_page(
    app: AppContext, path: str | None, target: str | None = None
) -> tuple[SharedPage, Mapping[int, str]]:
    """The shared page, and by partition the guest's name.

    :param path: what ``--page`` said
    :param target: which guest it is about, as that may be in a capture
    :raises NtbError: the lab has no link
    :raises TargetError: the page is not there
    """
    if path is not None:
        from ntbdbg.ntb.source import PageFile

        return PageFile(path), {}
    lab = app.guest(target).lab if target and in_capture(target) else app.lab
    records = lab.manifest.guests if lab.manifest else ()
    names = {r.index: lab.prefix + r.name for r in records if r.port is not None}
    return lab.page(), names


def partition_of(target: str, link: Link, names: Mapping[int, str]) -> int:
    """The partition of a guest, or of ``portN``; TargetError lists what there is."""
    for partition, name in names.items():
        if name == target and partition < len(link.ports):
            return partition
    match = re.fullmatch(r"port([0-9]{1,3})", target)
    for port in link.ports:
        if match and port.number == int(match[1]):
            return port.partition
    known = ", ".join(names.get(p.partition, f"port{p.number}") for p in link.ports)
    raise TargetError(f"no guest {target!r} on this link", hint=f"it has {known}")
