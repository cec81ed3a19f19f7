# SPDX-License-Identifier: MIT
"""Command lines of the container engine. Pure: nothing is read, nothing started."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: variables that mean the same inside
PASSED = (
    *("NTBDBG_FROM", "NTB_YOCTO_MIRRORS", "NO_COLOR", "TERM", "CI"),
    *("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL"),
)


@dataclass(frozen=True)
class Ground:
    """What of the host a container stands on.

    :param engine: ``docker`` or ``podman``
    :param checkout: mounted at the same path, so that paths mean the same inside and outside
    :param build: the build folder, mounted where the launcher has its own by default
    :param cache: downloads and finished builds, likewise kept between containers
    :param uid, gid: who owns what is written
    :param kvm: /dev/kvm is worth handing in
    :param kvm_gid: the group that may open it
    :param terminal: somebody sits at both ends
    :param mirrors: a folder with repositories for Yocto
    """

    engine: str
    checkout: Path
    build: Path
    cache: Path
    uid: int
    gid: int
    kvm: bool = False
    kvm_gid: int | None = None
    terminal: bool = False
    mirrors: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def inner_build(self) -> Path:
        """Where the build folder is inside."""
        return self.checkout / "build"


def image_name(dockerfile: bytes, uid: int) -> str:
    """The image of this very Dockerfile, for this user."""
    return f"ntbdbg:{zlib.crc32(dockerfile):08x}-{uid}"


def container_name(lab: str) -> str:
    """The container in which a lab runs; one knows it by heart: ``docker exec ntbdbg …``."""
    return "ntbdbg" if lab == "default" else f"ntbdbg-{lab}"


def image_exists_argv(engine: str, image: str) -> list[str]:
    return [engine, "image", "inspect", image]


def build_argv(ground: Ground, image: str) -> list[str]:
    """Make the image; its context is empty, all is in the Dockerfile."""
    numbers = ["--build-arg", f"UID={ground.uid}", "--build-arg", f"GID={ground.gid}"]
    file = ["--file", str(ground.checkout / "Dockerfile"), str(ground.checkout)]
    return [ground.engine, "build", "--tag", image, *numbers, *file]


def run_argv(
    ground: Ground,
    image: str,
    command: Sequence[str],
    *,
    name: str | None = None,
    ports: Sequence[int] = (),
    detach: bool = False,
) -> list[str]:
    """Run the launcher's `command` in a container that goes with it.

    :param name: what it is called; None for one that nobody needs to find
    :param ports: of guests, published on the host's loopback under the same numbers
    """
    return [
        ground.engine,
        "run",
        "--rm",
        *(["--detach"] if detach else []),
        *(["--name", name] if name else []),
        # A process that reaps and passes signals on: ours is not meant to be pid 1.
        "--init",
        *_terminal(ground),
        *_user(ground),
        *_folders(ground),
        *_devices(ground),
        *_environment(ground),
        *(word for port in ports for word in ("--publish", f"127.0.0.1:{port}:{port}")),
        "--workdir",
        str(ground.checkout),
        image,
        *launcher(ground, command),
    ]


def exec_argv(ground: Ground, name: str, command: Sequence[str]) -> list[str]:
    """Run it in the container that is there, beside the guests it is about."""
    words = [ground.engine, "exec", *_terminal(ground), *_user(ground, inside=True)]
    words += ["--workdir", str(ground.checkout)]
    return [*words, name, *launcher(ground, command)]


def launcher(ground: Ground, command: Sequence[str]) -> list[str]:
    """The launcher's command line inside; ``shell`` is bash."""
    if command and command[0] == "shell":
        return [word for word in command[1:] if word != "--"] or ["bash"]
    return ["python3", str(ground.checkout / "run"), *command]


def _terminal(ground: Ground) -> list[str]:
    return ["--interactive", *(["--tty"] if ground.terminal else [])]


def _user(ground: Ground, *, inside: bool = False) -> list[str]:
    # Podman without root maps the caller to root inside; this keeps the number.
    keep = ["--userns=keep-id"] if ground.engine == "podman" and ground.uid else []
    if inside:
        keep = []
    return [*keep, "--user", f"{ground.uid}:{ground.gid}"]


def _folders(ground: Ground) -> list[str]:
    folders = [
        _mount(ground.checkout, ground.checkout),
        _mount(ground.build, ground.inner_build),
        _mount(ground.cache, ground.cache),
    ]
    if ground.mirrors:
        folders.append(_mount(ground.mirrors, ground.mirrors, "readonly"))
    return [word for folder in folders for word in ("--mount", folder)]


def _mount(source: Path, target: Path, *more: str) -> str:
    """A folder of the host in the container; unlike ``--volume`` it takes paths with colons."""
    fields = ["type=bind", f"source={source}", f"target={target}", *more]
    # A line of CSV: what has a comma or a quote in it is quoted.
    quoted = (f.replace('"', '""') for f in fields)
    return ",".join(f'"{f}"' if "," in f or '"' in f else f for f in quoted)


def _devices(ground: Ground) -> list[str]:
    # Guests' RAM lies in /dev/shm, of which a container gets 64 MiB. Its own, not the host's:
    # names there, as /dev/shm/qemu1, are the container's, and go with it.
    words = ["--shm-size", "8g"]
    if ground.kvm:
        words += ["--device", "/dev/kvm"]
        if ground.kvm_gid is not None:
            words += ["--group-add", str(ground.kvm_gid)]
    return words


def _environment(ground: Ground) -> list[str]:
    venv = ground.inner_build / ".venv"
    if os.pathsep in str(venv):  # Python refuses to make one there
        venv = ground.cache / f"venv-{zlib.crc32(bytes(ground.checkout)):08x}-container"
    own = {
        # Compiled trees in the cache know their own path, so it is the host's.
        "XDG_CACHE_HOME": str(ground.cache.parent),
        # Not the host's .venv, which another Python and another C library made.
        "NTBDBG_VENV": str(venv),
        "PATH": f"{venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        # What is published is reached by the container's own address, not by its loopback.
        "NTBDBG_LISTEN": "0.0.0.0",
    }
    passed = {name: ground.environ[name] for name in PASSED if name in ground.environ}
    return [word for k, v in (own | passed).items() for word in ("--env", f"{k}={v}")]
