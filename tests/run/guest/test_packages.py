# SPDX-License-Identifier: MIT
"""Which packages a kernel of Debian's is made of, and what is said of one that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from run.base.errors import RunError
from run.debian.apt import Apt, Package
from run.guest.choice import DebianKernel
from run.guest.packages import PROGRAMS, resolve_kernel

OLD, NEW = "6.12.107-1", "6.12.118-1"


@dataclass
class Archive:
    """An archive by (name, version) of its packages, with what each depends on."""

    packages: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, version: str, **depends: str) -> None:
        for name, words in depends.items():
            self.packages[name.replace("_", "-"), version] = words

    def kernel(self, release: str, version: str, *, split: bool = False) -> None:
        """All packages of one kernel."""
        abi = release.rpartition("-amd64")[0].removesuffix("-cloud")
        parts = [f"linux-{part}-{release}" for part in ("base", "binary", "modules")]
        image = ", ".join(f"{part} (= {version})" for part in parts) if split else "kmod"
        headers = f"linux-headers-{abi}-common (= {version}), linux-kbuild-{abi}, gcc-14"
        names = {f"linux-image-{release}": image, f"linux-headers-{release}": headers}
        more = [f"linux-headers-{abi}-common", f"linux-kbuild-{abi}"]
        more += [f"linux-source-{'.'.join(abi.split('.')[:2])}", *(parts if split else ())]
        names |= dict.fromkeys(more, "")
        self.packages |= {(name, version): words for name, words in names.items()}

    def names(self, prefix: str) -> list[str]:
        return sorted({name for name, _ in self.packages if name.startswith(prefix)})

    def versions(self, names: Sequence[str]) -> list[Package]:
        return [
            Package(name, version, f"sha of {name} {version}", words)
            for (name, version), words in self.packages.items()
            if name in names
        ]

    def show(self, names: Sequence[str], version: str = "") -> list[Package]:
        found = []
        for name in names:
            there = [p for p in self.versions([name]) if version in ("", p.version)]
            if not there:
                raise RunError(f"the Debian archive has no {name} {version}")
            found.append(max(there, key=lambda package: package.version))
        return found


@pytest.fixture
def archive() -> Archive:
    made = Archive()
    for release, version in (("6.12.107+deb13", OLD), ("6.12.118+deb13", NEW)):
        for flavour in ("amd64", "cloud-amd64"):
            made.kernel(f"{release}-{flavour}", version)
    made.add(NEW, linux_image_amd64="linux-image-6.12.118+deb13-amd64 (= 6.12.118-1)")
    made.add(NEW, linux_image_cloud_amd64="linux-image-6.12.118+deb13-cloud-amd64")
    return made


def resolve(archive: Archive, *words: str) -> list[tuple[str, str]]:
    found = resolve_kernel(cast(Apt, archive), DebianKernel(*words))
    assert found.release == found.images[0].name.removeprefix("linux-image-")
    return [(package.name, package.version) for package in found.all()]


NAMES = ["linux-image-{}-amd64", "linux-headers-{}-amd64", "linux-headers-{}-common"]
NAMES += ["linux-kbuild-{}", "linux-source-6.12"]


def test_the_newest_is_what_the_metapackage_means(archive: Archive) -> None:
    release = "6.12.118+deb13"
    assert resolve(archive, "trixie") == [(name.format(release), NEW) for name in NAMES]


@pytest.mark.parametrize("version", [OLD, "6.12.107"])
def test_another_version_is_all_of_that_version(archive: Archive, version: str) -> None:
    release = "6.12.107+deb13"
    assert resolve(archive, "trixie", version) == [(name.format(release), OLD) for name in NAMES]


def test_the_newest_of_a_series(archive: Archive) -> None:
    assert resolve(archive, "trixie", "6.12")[0] == ("linux-image-6.12.118+deb13-amd64", NEW)


def test_a_flavour_has_packages_of_its_own(archive: Archive) -> None:
    for version in ("", "6.12.118"):
        names = [name for name, _ in resolve(archive, "trixie", version, "cloud-amd64")]
        assert names[:3] == [
            "linux-image-6.12.118+deb13-cloud-amd64",
            "linux-headers-6.12.118+deb13-cloud-amd64",
            "linux-headers-6.12.118+deb13-common",
        ]


def test_an_image_in_parts(archive: Archive) -> None:
    archive.kernel("7.3.4+deb13-amd64", "7.3.4-1", split=True)
    names = [name for name, _ in resolve(archive, "trixie", "7.3")]
    assert names[:4] == [
        f"linux-{part}-7.3.4+deb13-amd64" for part in ("image", "base", "binary", "modules")
    ]
    assert names[-1] == "linux-source-7.3"


def test_a_version_that_is_gone_is_answered_with_those_there_are(archive: Archive) -> None:
    with pytest.raises(RunError, match=r"^trixie has no kernel 6\.11 of flavour amd64;") as caught:
        resolve(archive, "trixie", "6.11")
    assert caught.value.hint == f"it has {NEW}, {OLD}"


def test_a_flavour_that_is_none_is_answered_with_those_there_are(archive: Archive) -> None:
    with pytest.raises(RunError, match=r"^trixie has no kernel of flavour pink;") as caught:
        resolve(archive, "trixie", "", "pink")
    assert caught.value.hint == "it has amd64, cloud-amd64"
    with pytest.raises(RunError, match="is that a flavour of Debian's"):
        resolve(archive, "trixie", "6.12", "pink")


def test_a_mirror_between_two_versions_is_said(archive: Archive) -> None:
    archive.packages["linux-source-6.12", "6.12.119-1"] = ""
    with pytest.raises(RunError, match=r"different versions.*linux-source-6\.12 6\.12\.119-1"):
        resolve(archive, "trixie")


def test_linux_6_1_is_named_as_it_was_then() -> None:
    archive = Archive()
    names = ["linux-image-{}", "linux-headers-{}"]
    for flavour, common in (("amd64", "common"), ("rt-amd64", "common-rt")):
        archive.add("6.1.192-3", **{f"linux_image_{flavour}": f"linux-image-6.1.0-57-{flavour}"})
        packages = [name.format(f"6.1.0-57-{flavour}") for name in names]
        packages += [f"linux-headers-6.1.0-57-{common}", "linux-kbuild-6.1", "linux-source-6.1"]
        archive.packages |= {(name, "6.1.192-3"): "" for name in packages}
        assert [name for name, _ in resolve(archive, "bookworm", "", flavour)] == packages


def test_what_the_guest_must_have_is_asked_for() -> None:
    wanted = {"bash", "busybox-static", "coreutils", "diffutils", "dropbear-bin", "kmod"}
    assert wanted <= {*PROGRAMS}
