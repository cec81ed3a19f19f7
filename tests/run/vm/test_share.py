# SPDX-License-Identifier: MIT
"""A folder of the host in guests: what names one, and which kernels can have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from run.base.errors import RunError, UsageError
from run.vm.share import Share, check_kernel


def test_a_folder_and_one_that_is_only_read(tmp_path: Path) -> None:
    assert Share.of(str(tmp_path)) == Share(tmp_path.resolve())
    assert Share.of(f"{tmp_path}:ro") == Share(tmp_path.resolve(), read_only=True)


def test_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--share=.*/file: not a folder; give DIR, or DIR:ro"):
        Share.of(str(tmp_path / "file"))
    with pytest.raises(UsageError, match="none:ro: there is no such folder"):
        Share.of(f"{tmp_path}/none:ro")


def test_what_qemu_is_told() -> None:
    fsdev, device = Share(Path("/a,b"), read_only=True).words(",bus=pcie.0")[1::2]
    assert fsdev == ("local,id=host,path=/a,,b,security_model=none,multidevs=remap,readonly=on")
    assert device == "virtio-9p-pci,fsdev=host,mount_tag=host,bus=pcie.0"
    assert "readonly" not in " ".join(Share(Path("/a")).words(""))


def test_kernels_that_can_and_cannot(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        check_kernel(tmp_path, "6.1.0-cloud")
    assert str(caught.value) == (
        "--share: Linux 6.1.0-cloud has no 9pnet_virtio and no 9p; take another kernel, or"
        " 'python3 run cp' for single files"
    )
    for name in ("kernel/fs/9p/9p.ko", "kernel/net/9p/9pnet_virtio.ko.xz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    check_kernel(tmp_path, "6.1.0")
    (tmp_path / "kernel/fs/9p/9p.ko").unlink()
    (tmp_path / "modules.builtin").write_text("kernel/fs/9p/9p.ko\n")
    check_kernel(tmp_path, "6.1.0")
