# SPDX-License-Identifier: MIT
"""The private apt against a signed repository in a folder: what is tampered with is refused."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from run.base.errors import HostError, RunError
from run.debian.apt import Apt
from run.debian.apt import is_of as _is_of
from run.debian.aptstate import Suite
from run.debian.mirror import Mirror
from run.steps.steps import Step, StepError
from tests.support.stranger import needs_two_users, public_folder

SUITE = "testing"


@dataclass
class Repository:
    """A signed Debian repository with one binary and one source package, both named ``hello``."""

    root: Path
    home: Path

    @property
    def keyring(self) -> Path:
        return self.root / "key.gpg"

    @property
    def deb(self) -> Path:
        return self.root / "pool/hello_1.0_all.deb"

    def gpg(self, *arguments: str | Path) -> None:
        argv = ["gpg", "--batch", "--quiet", "--homedir", self.home, *arguments]
        subprocess.run(argv, check=True, capture_output=True)

    def make(self) -> None:
        """Build packages and key, and publish."""
        self.home.mkdir(mode=0o700)
        self.gpg("--passphrase", "", "--quick-generate-key", "tests@invalid", "ed25519")
        self.gpg("--output", self.keyring, "--export")
        control = self.root / "hello/DEBIAN/control"
        control.parent.mkdir(parents=True)
        control.write_text(
            "Package: hello\nVersion: 1.0\nArchitecture: all\n"
            "Maintainer: Tests <tests@invalid>\nDescription: says hello\n"
        )
        self.deb.parent.mkdir()
        argv = ["dpkg-deb", "--root-owner-group", "--build", self.root / "hello", self.deb]
        subprocess.run(argv, check=True, capture_output=True)
        (self.root / "pool/hello_1.0.tar.gz").write_bytes(gzip.compress(b"source"))
        (self.root / "pool/hello_1.0.dsc").write_text("Source: hello\nVersion: 1.0\n")
        self.publish()

    def publish(self) -> None:
        """Write the indices of what lies in the pool, and sign them."""
        packages = (self.root / "hello/DEBIAN/control").read_text().rstrip() + "\n"
        packages += f"Filename: pool/{self.deb.name}\n{_size_and_hash(self.deb)}\n"
        files = [self.root / "pool" / name for name in ("hello_1.0.dsc", "hello_1.0.tar.gz")]
        lines = "\n".join(f" {_sha256(f)} {f.stat().st_size} {f.name}" for f in files)
        sources = (
            "Package: hello\nBinary: hello\nVersion: 1.0\nDirectory: pool\n"
            f"Checksums-Sha256:\n{lines}\n"
        )
        main = self.root / "dists" / SUITE / "main"
        _put(main / "binary-amd64/Packages", packages)
        _put(main / "source/Sources", sources)
        self.sign()

    def sign(self) -> None:
        """Make Release and InRelease of the indices as they are."""
        suite = self.root / "dists" / SUITE
        indices = [suite / "main/binary-amd64/Packages", suite / "main/source/Sources"]
        lines = "".join(
            f" {_sha256(path)} {path.stat().st_size} {path.relative_to(suite)}\n"
            for path in indices
        )
        head = f"Suite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64 all\nComponents: main\n"
        date = "Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
        _put(suite / "Release", f"{head}{date}SHA256:\n{lines}")
        (suite / "InRelease").unlink(missing_ok=True)
        self.gpg("--clearsign", "--output", suite / "InRelease", suite / "Release")

    def apt(self, state: Path, keyring: Path | None = None, types: str = "deb deb-src") -> Apt:
        """A private apt on this repository."""
        mirror = Mirror(f"copy:{self.root}", {"Check-Date": "no"})
        suite = Suite(mirror, SUITE, types)
        return Apt(state / "apt", state / "downloads", [suite], keyring=keyring or self.keyring)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _size_and_hash(path: Path) -> str:
    return f"Size: {path.stat().st_size}\nSHA256: {_sha256(path)}"


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextlib.contextmanager
def made(root: Path, home: Path) -> Iterator[Repository]:
    """A new repository, signed with a key of its own."""
    root.mkdir()
    repository = Repository(root, home)
    try:
        repository.make()
        yield repository
    finally:  # gpg started an agent for this home, which would live on
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with made(tmp_path / "repository", tmp_path / "gnupg") as repository:
        yield repository


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step("test", tmp_path / "step.log", None, 0)


@pytest.fixture
def apt(repository: Repository, tmp_path: Path, step: Step) -> Apt:
    fresh = repository.apt(tmp_path / "state")
    fresh.refresh(step)
    return fresh


def test_what_is_signed_is_downloaded(apt: Apt, repository: Repository, step: Step) -> None:
    (package,) = apt.show(["hello"])
    assert (package.version, package.sha256) == ("1.0", _sha256(repository.deb))
    (file,) = apt.download(step, [package])
    assert file.read_bytes() == repository.deb.read_bytes()


def test_a_package_in_the_cache_is_not_fetched_again(
    apt: Apt, repository: Repository, step: Step
) -> None:
    packages = apt.show(["hello"])
    (first,) = apt.download(step, packages)
    repository.deb.unlink()
    assert apt.download(step, packages) == [first]


def test_a_tampered_package_is_refused(apt: Apt, repository: Repository, step: Step) -> None:
    content = bytearray(repository.deb.read_bytes())
    content[-1] ^= 1
    repository.deb.write_bytes(content)
    with pytest.raises(RunError):
        apt.download(step, apt.show(["hello"]))


def test_a_tampered_cache_is_not_used(apt: Apt, repository: Repository, step: Step) -> None:
    packages = apt.show(["hello"])
    (file,) = apt.download(step, packages)
    file.write_bytes(b"evil")
    (again,) = apt.download(step, packages)
    assert again.read_bytes() == repository.deb.read_bytes()


def test_a_tampered_source_is_refused(apt: Apt, repository: Repository, step: Step) -> None:
    (repository.root / "pool/hello_1.0.tar.gz").write_bytes(gzip.compress(b"evil!!"))
    with pytest.raises(StepError):
        apt.download_source(step, "hello")


def test_a_source_comes_with_the_hash_of_its_description(
    apt: Apt, repository: Repository, step: Step
) -> None:
    dsc = apt.download_source(step, "hello")
    assert apt.source_identity("hello") == ("1.0", _sha256(dsc))
    assert (dsc.parent / "hello_1.0.tar.gz").exists()


def test_who_wants_packages_alone_takes_no_sources_away(
    apt: Apt, repository: Repository, tmp_path: Path, step: Step
) -> None:
    other = repository.apt(tmp_path / "state", types="deb")
    other.download(step, other.show(["hello"]))
    assert apt.is_fresh()
    assert apt.source_identity("hello")[0] == "1.0"


def test_a_source_of_a_series(apt: Apt, step: Step) -> None:
    assert apt.source_identity("hello", "1") == apt.source_identity("hello")
    assert apt.download_source(step, "hello", "1.0").name == "hello_1.0.dsc"
    with pytest.raises(RunError, match=r"no source package hello 2; there is 1\.0"):
        apt.source_identity("hello", "2")


@pytest.mark.parametrize(
    ("version", "series", "is_of"),
    [
        ("1:10.2.2+ds-1", "10.2", True),
        ("1:10.2+ds-1", "10.2", True),
        ("10.2", "", True),
        ("1:10.2.2+ds-1", "1:10.2.2+ds-1", True),
        ("1:10.20.1", "10.2", False),
        ("1:110.2", "10.2", False),
        ("10:2.1", "10.2", False),
    ],
)
def test_what_is_of_a_series(version: str, series: str, is_of: bool) -> None:
    assert _is_of(version, series) == is_of


def test_a_source_tampered_with_in_the_cache_is_fetched_again(
    apt: Apt, repository: Repository, step: Step
) -> None:
    dsc = apt.download_source(step, "hello")
    tarball = dsc.parent / "hello_1.0.tar.gz"
    tarball.write_bytes(b"evil")
    apt.download_source(step, "hello")
    assert tarball.read_bytes() == (repository.root / "pool" / tarball.name).read_bytes()


def test_a_tampered_index_is_refused(repository: Repository, tmp_path: Path, step: Step) -> None:
    index = repository.root / "dists" / SUITE / "main/binary-amd64/Packages"
    index.write_text(index.read_text().replace("1.0", "2.0"))
    with pytest.raises(StepError):
        repository.apt(tmp_path / "state").refresh(step)


def test_a_signature_of_somebody_else_is_refused(
    repository: Repository, tmp_path: Path, step: Step
) -> None:
    with (
        made(tmp_path / "stranger", tmp_path / "stranger-home") as stranger,
        pytest.raises(StepError),
    ):
        repository.apt(tmp_path / "state", keyring=stranger.keyring).refresh(step)


def test_an_unsigned_repository_is_refused(
    repository: Repository, tmp_path: Path, step: Step
) -> None:
    (repository.root / "dists" / SUITE / "InRelease").unlink()
    with pytest.raises(StepError):
        repository.apt(tmp_path / "state").refresh(step)


def test_laxity_of_the_user_is_not_ours(
    repository: Repository, tmp_path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "their.conf"
    theirs.write_text(
        'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(theirs))
    (repository.root / "dists" / SUITE / "InRelease").unlink()
    with pytest.raises(StepError):
        repository.apt(tmp_path / "state").refresh(step)


def test_a_missing_keyring_names_its_package(
    repository: Repository, tmp_path: Path, step: Step
) -> None:
    with pytest.raises(HostError, match="debian-archive-keyring"):
        repository.apt(tmp_path / "state", keyring=tmp_path / "none").refresh(step)


def test_recent_lists_are_kept_and_old_ones_survive_a_dead_mirror(
    apt: Apt, repository: Repository, step: Step
) -> None:
    (repository.root / "dists").rename(repository.root / "gone")
    apt.refresh(step)
    apt.refresh(step, max_age=0.0)
    assert apt.show(["hello"])[0].version == "1.0"


def test_a_suite_that_the_mirror_lacks_is_one_line(
    repository: Repository, tmp_path: Path, step: Step
) -> None:
    shutil.rmtree(repository.root / "dists" / SUITE)
    with pytest.raises(RunError, match=rf"has no suite {SUITE}; Debian's are") as caught:
        repository.apt(tmp_path / "state").refresh(step)
    assert not isinstance(caught.value, StepError)


def test_names_and_versions(apt: Apt) -> None:
    assert apt.names("hell") == ["hello"]
    assert apt.names("nope") == []
    assert [(p.name, p.version) for p in apt.versions(["hello"])] == [("hello", "1.0")]
    assert apt.versions([]) == []
    assert apt.show(["hello"], "1.0") == apt.show(["hello"])
    with pytest.raises(RunError, match=r"no hello of version 9\.0"):
        apt.show(["hello"], "9.0")


def test_an_unknown_package_is_named(apt: Apt) -> None:
    with pytest.raises(RunError, match="no package nope"):
        apt.show(["hello", "nope"])
    with pytest.raises(RunError, match="no source package nope"):
        apt.source_identity("nope")


def test_the_state_of_the_user_is_not_touched(apt: Apt, tmp_path: Path) -> None:
    configuration = (tmp_path / "state/apt/apt.conf").read_text()
    for name in ("Dir::State::lists", "Dir::Cache", "Dir::Etc::sourceparts", "Dir::State::status"):
        assert f'{name} "{tmp_path}' in configuration
    for name in ("Dir::Etc::main", "Dir::Etc::parts", "Dir::Etc::sourcelist"):
        assert f'{name} "/dev/null"' in configuration


def test_the_lists_of_the_host_never_answer(apt: Apt, tmp_path: Path) -> None:
    (tmp_path / "state/apt/apt.conf").unlink()
    assert not apt.is_fresh()
    with pytest.raises(RunError, match="no package base-files"):
        apt.show(["base-files"])


def test_a_moved_cache_answers(apt: Apt, repository: Repository, tmp_path: Path) -> None:
    """Its configuration names folders that are no more."""
    (tmp_path / "state").rename(tmp_path / "moved")
    moved = repository.apt(tmp_path / "moved")
    assert not moved.is_fresh()
    assert [package.version for package in moved.show(["hello"])] == ["1.0"]


def test_how_to_reach_servers_is_taken_from_the_user(
    repository: Repository, tmp_path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "their.conf"
    theirs.write_text('Acquire::http::Proxy "http://proxy.invalid:3128";\n')
    monkeypatch.setenv("APT_CONFIG", str(theirs))
    repository.apt(tmp_path / "state").refresh(step)
    configuration = (tmp_path / "state/apt/apt.conf").read_text()
    assert 'Acquire::http::Proxy "http://proxy.invalid:3128";' in configuration


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that apt's own user may look into."""
    with public_folder() as folder:
        yield folder


@needs_two_users
def test_what_comes_from_the_network_is_not_touched_as_root(
    public: Path, tmp_path: Path, step: Step
) -> None:
    with made(public / "repository", tmp_path / "gnupg") as repository:
        apt = repository.apt(public / "state")
        apt.refresh(step)
        (package,) = apt.download(step, apt.show(["hello"]))
        source = apt.download_source(step, "hello")
    fetcher = pwd.getpwnam("_apt").pw_uid
    assert 'APT::Sandbox::User "_apt"' in (public / "state/apt/apt.conf").read_text()
    assert (public / "state/apt/lists/partial").stat().st_uid == fetcher
    assert "unsandboxed" not in (tmp_path / "step.log").read_text()
    ours = [package, package.parent, source, source.parent, *source.parent.iterdir()]
    assert {path.stat().st_uid for path in ours} == {os.getuid()}


@needs_two_users
def test_a_source_that_root_left_is_fetched_again_by_the_other_user(
    public: Path, tmp_path: Path, step: Step
) -> None:
    with made(public / "repository", tmp_path / "gnupg") as repository:
        apt = repository.apt(public / "state")
        apt.refresh(step)
        source = apt.download_source(step, "hello")
        archive = source.with_name("hello_1.0.tar.gz")
        right = archive.read_bytes()
        archive.write_bytes(b"tampered")
        apt.download_source(step, "hello")
    assert archive.read_bytes() == right
    assert "unsandboxed" not in (tmp_path / "step.log").read_text()


@needs_two_users
@pytest.mark.parametrize("closed", ["state", "repository"])
def test_where_the_other_user_cannot_look_apt_does_not_try(
    public: Path, tmp_path: Path, step: Step, closed: str
) -> None:
    with made(public / "repository", tmp_path / "gnupg") as repository:
        (public / "state").mkdir()
        (public / closed).chmod(0o700)
        apt = repository.apt(public / "state")
        apt.refresh(step)
        apt.download(step, apt.show(["hello"]))
    assert 'APT::Sandbox::User "root"' in (public / "state/apt/apt.conf").read_text()
    assert "unsandboxed" not in (tmp_path / "step.log").read_text()
