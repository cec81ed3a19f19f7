# SPDX-License-Identifier: MIT
"""Finished builds under keys, locks between processes, and what an interruption leaves."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from run.base.errors import RunError
from run.base.locks import exclusive
from run.steps.artifacts import GuestImage, MissingBuild, QemuInstall
from run.steps.store import Store, digest, digest_tree, replace_folder

CHECKOUT = Path(__file__).parents[3]


def _fill(folder: Path) -> None:
    (folder / "result").write_text("whole")


def test_a_build_is_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = store.make("kind", "key", _fill)
    assert (made / "result").read_text() == "whole"
    assert store.make("kind", "key", lambda _: pytest.fail("made twice")) == made
    assert store.find("kind", "key") == made
    assert store.find("kind", "other") is None


def test_an_interrupted_build_never_counts_as_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make("kind", "key", interrupted)
    assert store.find("kind", "key") is None
    made = store.make("kind", "key", _fill)
    assert sorted(path.name for path in made.iterdir()) == ["result"]


def test_a_forgotten_build_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make("kind", "key", _fill)
    store.forget("kind", "key")
    assert store.find("kind", "key") is None
    store.forget("kind", "never made")


def test_pruning_keeps_what_was_used_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for index in range(4):
        path = store.make("kind", f"key{index}", _fill)
        os.utime(path, (index, index))
    assert store.find("kind", "key0") is not None  # and so it is in use
    store.prune("kind", keep=2)
    assert [index for index in range(4) if store.find("kind", f"key{index}")] == [0, 3]


def test_keys_tell_order_and_borders_apart() -> None:
    keys = [digest(parts) for parts in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"], [])]
    assert len(set(keys)) == len(keys)
    assert digest(["a", b"b"]) == digest([b"a", "b"])


def test_the_key_of_a_tree_sees_content_names_modes_and_links(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    keys = [digest_tree(tmp_path)]
    os.utime(file, (5, 5))
    assert digest_tree(tmp_path) == keys[0], "times do not count"
    for change in (
        lambda: file.write_text("2"),
        lambda: file.chmod(0o755),
        lambda: file.rename(tmp_path / "renamed"),
        lambda: (tmp_path / "link").symlink_to("renamed"),
        lambda: (tmp_path / "folder").mkdir(),
    ):
        change()
        keys.append(digest_tree(tmp_path))
    assert len(set(keys)) == len(keys)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "new").touch()
    target.mkdir()
    (target / "old").touch()
    replace_folder(source, target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    replace_folder(source, tmp_path / "fresh")
    assert (tmp_path / "fresh" / "new").exists()


SECOND = """
import sys
from pathlib import Path
from run.steps.store import Store

def fill(folder):
    (folder / "by").write_text("second")

print("asking", flush=True)
say = lambda: print("waiting", flush=True)
path = Store(Path(sys.argv[1])).make("kind", "key", fill, on_wait=say)
print((path / "by").read_text())
"""


def test_two_builders_of_one_build_wait_and_share(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        nonlocal other
        other = subprocess.Popen(
            [sys.executable, "-c", SECOND, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        assert other.stdout is not None
        assert [other.stdout.readline().strip() for _ in range(2)] == ["asking", "waiting"]
        (folder / "by").write_text("first")

    other: subprocess.Popen[str] | None = None
    Store(tmp_path).make("kind", "key", fill)
    assert other is not None
    assert other.communicate()[0].strip() == "first"


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "lock"
    script = (
        "import os, sys; from pathlib import Path; from run.base.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(lock)], cwd=CHECKOUT, check=False)
    with (
        exclusive(lock, on_wait=lambda: pytest.fail("still locked")),
        lock.open() as again,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_made_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="--build-dir"), exclusive(tmp_path / "file" / "lock"):
        pass


def test_artifacts_come_back_as_they_were(tmp_path: Path) -> None:
    install = QemuInstall("/q", "/s", ["/f"], "10", "key")
    install.save(tmp_path)
    assert QemuInstall.load(tmp_path) == install
    with pytest.raises(MissingBuild, match="python3 run build guest"):
        GuestImage.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"qemu": 1, "more": 2}', "\0"])
def test_a_damaged_artifact_counts_as_none(tmp_path: Path, text: str) -> None:
    path = QemuInstall.path(tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(MissingBuild):
        QemuInstall.load(tmp_path)
