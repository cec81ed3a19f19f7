# SPDX-License-Identifier: MIT
"""A tar archive that nobody vouches for, unpacked so that nothing of it leaves its folder."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from run.base.errors import RunError

#: files of one archive; a guest that sends more is not sending a folder
MOST_FILES = 1_000_000


def extract(stream: IO[bytes], folder: Path) -> None:
    """Make `folder` of the files, folders and links in `stream`; devices and pipes are left out.

    Links are made last, so that nothing is ever written through one.

    :raises RunError: the archive breaks off, or names something outside of `folder`
    """
    folder.mkdir()
    links: list[tuple[Path, str]] = []
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for count, member in enumerate(archive):
                if count >= MOST_FILES:
                    raise RunError(f"the guest sends more than {MOST_FILES} files")
                _one(archive, member, folder / _inside(member.name), folder, links)
    except tarfile.TarError as error:
        raise RunError(f"what the guest sends is no whole archive: {error}") from error
    for path, target in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RunError(f"the guest sends a file called {name!r:.60}, which is refused")
    return path


def _one(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    path: Path,
    folder: Path,
    links: list[tuple[Path, str]],
) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif member.issym():
        links.append((path, member.linkname))
    elif member.islnk():
        os.link(folder / _inside(member.linkname), path, follow_symlinks=False)
    elif member.isreg() and (source := archive.extractfile(member)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file)
        path.chmod(member.mode & 0o777 | 0o200)
