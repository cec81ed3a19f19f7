# SPDX-License-Identifier: MIT
"""The guest's archive and packages, without building a guest."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import zstandard

from run.guest import cpio, initramfs
from run.steps.steps import Step
from tests.support.newc import read_newc


def test_an_archive_holds_the_tree_as_root_has_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"root::0:0\n")
    (tmp_path / "init").symlink_to("usr/bin/busybox")
    (tmp_path / "run.sh").write_bytes(b"#!")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "dev").mkdir()
    archive = b"".join(cpio.archive(tmp_path))
    entries = read_newc(archive)
    assert list(entries) == ["dev", "etc", "etc/passwd", "init", "run.sh", "dev/console"]
    assert entries["etc/passwd"].data == b"root::0:0\n"
    assert stat.S_ISLNK(entries["init"].mode)
    assert entries["init"].data == b"usr/bin/busybox"
    assert entries["run.sh"].mode & 0o777 == 0o755
    console = entries["dev/console"]
    assert (stat.S_ISCHR(console.mode), console.device) == (True, (5, 1))
    assert {entry.owner for entry in entries.values()} == {(0, 0)}
    assert len(archive) % 4 == 0


def test_equal_trees_give_equal_archives(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("same")
    one, two = (b"".join(cpio.archive(tmp_path / name)) for name in ("one", "two"))
    assert one == two


def _deb(folder: Path, name: str, files: dict[str, str], links: dict[str, str]) -> Path:
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\n"
        "Maintainer: Tests <tests@invalid>\nDescription: a test\n"
    )
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        (root / path).chmod(0o755)
    for path, target in links.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    subprocess.run(["dpkg-deb", "--build", root], check=True, capture_output=True)
    return folder / f"{name}.deb"


def test_the_best_program_of_each_name_is_in_the_guest(tmp_path: Path) -> None:
    busybox = "#!/bin/sh\nprintf 'cat\\nls\\nlsmod\\n'\n"
    programs = [
        _deb(tmp_path, "busybox-static", {"bin/busybox": busybox}, {}),
        _deb(tmp_path, "coreutils", {"bin/cat": "GNU"}, {}),
        _deb(tmp_path, "kmod", {"bin/kmod": "kmod"}, {"sbin/lsmod": "/bin/kmod"}),
    ]
    loader = {"lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "loader"}
    libraries = [_deb(tmp_path, "libc6", loader, {})]
    root = tmp_path / "root"
    root.mkdir()
    initramfs.build_tree(
        Step("initramfs", tmp_path / "log", None, 0),
        root,
        tmp_path / "scratch",
        programs=programs,
        libraries=libraries,
    )
    assert (root / "bin/cat").read_text() == "GNU", "not busybox' own"
    assert (root / "bin/ls").readlink() == Path("busybox")
    assert (root / "sbin/lsmod").readlink() == Path("kmod")
    assert (root / "init").readlink() == Path("usr/bin/busybox")
    assert (root / "lib64/ld-linux-x86-64.so.2").read_text() == "loader"
    entries = read_newc(b"".join(cpio.archive(root)))
    wanted = {"init", "etc/passwd", "etc/inittab", "dev/console", "proc", "sys", "usr/bin/ssh"}
    assert wanted <= {*entries}
    initramfs.write_archive(root, tmp_path / "initramfs")
    packed = (tmp_path / "initramfs").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(packed) as stream:
        assert read_newc(stream.read()) == entries


def test_what_goes_with_a_kernel_is_laid_over(tmp_path: Path) -> None:
    """No entry of it may put a folder in the place of a link: /lib is one."""
    modules, root = tmp_path / "modules", tmp_path / "root"
    modules.mkdir()
    (modules / "modules.dep").write_text("extra/ntb.ko:\n")
    (tmp_path / "ntb_test.sh").write_text("#!/bin/bash\n")
    initramfs.build_kernel_tree(
        root, modules=modules, release="6.6", selftest=tmp_path / "ntb_test.sh"
    )
    assert os.access(root / initramfs.SELFTEST, os.X_OK)
    (tmp_path / "base").write_bytes(b"what is under it")
    initramfs.lay_over(tmp_path / "base", root, tmp_path / "both")
    both = (tmp_path / "both").read_bytes()
    assert both.startswith(b"what is under it")
    with zstandard.ZstdDecompressor().stream_reader(both.removeprefix(b"what is under it")) as raw:
        entries = read_newc(raw.read())
    assert entries["lib/modules/6.6/modules.dep"].data == b"extra/ntb.ko:\n"
    assert not {"lib", "usr", "dev/console"} & {*entries}
    assert str(initramfs.SELFTEST) in entries


def test_root_needs_no_password_and_has_a_shell() -> None:
    own = initramfs.OWN_FILES
    assert (own / "etc/passwd").read_text() == "root::0:0:root:/root:/usr/bin/bash\n"
    assert "/usr/bin/bash" in (own / "etc/shells").read_text().splitlines()
    assert "dropbear" in (own / "etc/inittab").read_text()


def test_own_programs_are_executable() -> None:
    for name in ("etc/init.d/boot", "usr/bin/ssh", "etc/acpi/PWRF/00000080"):
        path = initramfs.OWN_FILES / name
        assert path.stat().st_mode & 0o111, name
        assert path.read_text().startswith("#!"), name
