# SPDX-License-Identifier: MIT
"""Reading the user's apt configuration, in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.errors import HostError
from run.debian import release
from run.debian.apt import KEYRING
from run.debian.aptstate import Suite
from run.debian.mirror import (
    Mirror,
    find_mirror,
    os_release,
    parse_deb822,
    parse_one_line,
    read_sources,
    stanzas,
)

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb http://other.example/apt tool main
deb cdrom:[Debian_12]/ bookworm main
deb-src http://sources.example/debian bookworm main
deb [arch=amd64 trusted=yes check-valid-until=no] http://one.example/debian bookworm main # mine
deb http://two.example/debian bookworm main
deb http://one.example/debian-security bookworm-security main
"""

DEB822 = """\
# a comment
Types: deb deb-src
# between fields
URIs: http://one.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
By-Hash: force
Trusted: yes

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

types: deb
uris: http://one.example/debian-security
suites: bookworm-security
components: main
"""


def test_one_line_entries() -> None:
    sources = list(parse_one_line(ONE_LINE))
    mirror = find_mirror(sources, "bookworm")
    assert mirror == Mirror("http://one.example/debian", {"Check-Valid-Until": "no"})
    assert find_mirror(sources, "bookworm", security=True).uri.endswith("debian-security")


def test_deb822_entries() -> None:
    sources = list(parse_deb822(DEB822))
    assert [source.suites[0] for source in sources] == ["bookworm", "bookworm-security"]
    mirror = find_mirror(sources, "bookworm")
    assert mirror == Mirror("http://one.example/debian", {"By-Hash": "force"})
    assert find_mirror(sources, "bookworm", security=True).options == {}


def test_the_first_source_that_fits_is_taken_from_all_files(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://other.example/apt tool main\n")
    (tmp_path / "sources.list.d" / "a.list").write_text(
        "deb http://a.example/debian bookworm main\n"
    )
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "old.list.save").write_text(
        "deb http://save.example/debian bookworm main\n"
    )
    assert find_mirror(read_sources(tmp_path)).uri == "http://a.example/debian"


def test_an_empty_configuration_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="--debian-mirror URL"):
        find_mirror(read_sources(tmp_path))


def test_a_mirror_of_ubuntu_is_not_taken_for_one_of_debian() -> None:
    sources = list(parse_one_line("deb http://u.example/ubuntu noble main universe\n"))
    with pytest.raises(HostError, match="names no mirror of Debian"):
        find_mirror(sources)


def test_a_release_unknown_to_us_is_known_to_a_debian_host() -> None:
    sources = list(parse_one_line("deb http://d.example/debian zurg main\n"))
    assert find_mirror(sources, "zurg").uri == "http://d.example/debian"


BROKEN = ["deb", "deb http://x.example", "deb [unclosed http://x y main", "rpm x y z", "["]


@pytest.mark.parametrize("line", BROKEN)
def test_broken_lines_are_passed_over(line: str) -> None:
    with pytest.raises(HostError):
        find_mirror(parse_one_line(line))


def test_only_suite_component_and_key_are_ours() -> None:
    mirror = Mirror("http://one.example/debian", {"By-Hash": "force"})
    assert Suite(mirror, "trixie", "deb deb-src").stanza(KEYRING).splitlines() == [
        "Types: deb deb-src",
        "URIs: http://one.example/debian",
        "Suites: trixie",
        "Components: main",
        f"Signed-By: {KEYRING}",
        "By-Hash: force",
    ]


def test_trust_of_the_user_is_not_ours() -> None:
    (source, *_) = parse_deb822(DEB822)
    assert source.options["trusted"] == "yes"
    mirror = find_mirror([source], "bookworm")
    assert "rusted" not in Suite(mirror, "trixie").stanza(KEYRING)


@pytest.mark.parametrize(
    ("suite", "found"),
    [
        ("trixie", ["trixie", "trixie-security"]),
        ("trixie-backports", ["trixie-backports"]),
        ("trixie-updates", ["trixie-updates"]),
        ("trixie-security", ["trixie-security"]),
        ("sid", ["sid"]),
    ],
)
def test_which_suites_have_security_suites(
    suite: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "read_sources", lambda: list(parse_deb822(DEB822)))
    monkeypatch.setattr(release, "os_release", lambda: {"ID": "debian"})
    mirrors = release._mirrors(suite, None)
    assert list(mirrors) == found
    for name, mirror in mirrors.items():
        assert mirror.uri.endswith("security") is name.endswith("-security")


def test_stanzas_join_continued_lines() -> None:
    assert list(stanzas("A: 1\n 2\n\n\nB: 3\n#c\n")) == [{"A": "1\n2"}, {"B": "3"}]


def test_os_release(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n\n# x\n')
    assert os_release(file) == {"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux 12"}
    assert os_release(tmp_path / "none") == {}
