# SPDX-License-Identifier: MIT
"""Labs that ntbdbg attached to: the launcher neither shows, stops nor cleans them up."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from ntbdbg.lab.manifest import ATTACHED, ATTACHED_SCHEMA
from run.base.errors import RunError
from run.lab import choose as labs
from run.lab.stop import stop
from tests.support.fakelab import FakeLab


@pytest.fixture
def attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    with FakeLab(tmp_path / "run", name="web1") as lab:
        lab.edit(source=ATTACHED, may=(), schema=ATTACHED_SCHEMA, launcher=None)
        monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(lab.root))
        (lab.root / "ntbdbg" / ".locks").mkdir()
        yield lab  # type: ignore[misc]


def test_it_is_none_of_the_launchers_labs(attached: FakeLab) -> None:
    assert labs.names() == []
    assert labs.folders() == []
    with pytest.raises(RunError, match="no lab 'default'"):
        labs.choose(None)


def test_whoever_names_it_is_told_whose_it_is(attached: FakeLab) -> None:
    before = sorted(attached.folder.iterdir())
    for deed in (labs.load, lambda name: stop(name, keep_ram=None, say=print)):
        with pytest.raises(RunError, match="ntbdbg attached to them") as caught:
            deed("web1")
        assert "'ntbdbg detach web1' forgets the lab" in str(caught.value.hint)
    assert sorted(attached.folder.iterdir()) == before
    assert attached.ram_path("qemu1").exists()


def test_its_run_json_says_what_a_reader_must_heed(attached: FakeLab) -> None:
    data = json.loads(attached.path.read_text())
    assert (data["schema"], data["source"], data["may"]) == (2, "attached", [])
    assert dataclasses.replace(attached.manifest, may=()).is_attached
