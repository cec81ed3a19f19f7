# SPDX-License-Identifier: MIT
"""`python3 run bench`: which programs it runs, and what it makes of their results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from run.cli.commands import bench as the_command
from run.cli.main import main
from run.suites import bench
from tests.bench import ratio
from tests.bench.ratio import Contest, run
from tests.bench.result import PROCESSOR, WALL, Result, at_least, at_most, tell

RATIO = Result("dump", "80.0 ms", "xxd | cat", "100.0 ms", 0.8, *at_most(0.75, 0.8), WALL)
RATE = Result("watch", "9000 samples/s", budget="at least 1000")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the command asked for; programs append RATE instead of measuring anything."""
    seen = SimpleNamespace(codes={}, programs=[], built=False, purposes=())

    def run(argv, *, env, **_):
        name = Path(argv[1]).stem
        seen.programs.append(name)
        monkeypatch.setenv(bench.RESULTS, env[bench.RESULTS])
        tell(RATE)
        return subprocess.CompletedProcess(argv, seen.codes.get(name, 0))

    monkeypatch.setattr(
        the_command, "require", lambda _, *purposes, **__: setattr(seen, "purposes", purposes)
    )
    monkeypatch.setattr(the_command, "install_test_tools", lambda _: None)
    monkeypatch.setattr(the_command, "make", lambda *_: setattr(seen, "built", True))
    monkeypatch.setattr(the_command.subprocess, "run", run)
    return seen


def test_named_programs_run_and_make_a_table(ran, tmp_path: Path, capsys) -> None:
    (tmp_path / "bench.jsonl").write_text("what an earlier run left\n")
    assert main(["bench", "watch", "dump", "--build-dir", str(tmp_path)]) == 0
    assert ran.programs == ["bench_watch", "bench_dump"]
    assert not ran.built
    assert ran.purposes == ("bench",)
    row = "| watch |  |  | 9000 samples/s |  |  | at least 1000 | ok |"
    assert (tmp_path / "bench.md").read_text().splitlines()[2:] == [row, row]
    assert row in capsys.readouterr().out


def test_all_of_them_and_builds_where_needed(ran, tmp_path: Path) -> None:
    assert main(["bench", "--build-dir", str(tmp_path)]) == 0
    assert ran.programs == [f"bench_{name}" for name in bench.programs()]
    assert ran.built
    assert {"run", "guest"} <= set(ran.purposes)


def test_without_guests_nothing_is_built(ran, tmp_path: Path) -> None:
    assert main(["bench", "--no-guests", "--build-dir", str(tmp_path)]) == 0
    assert set(ran.programs) == {f"bench_{n}" for n in bench.programs()} - {
        f"bench_{n}" for n in bench.WITH_QEMU
    }
    assert not ran.built


def test_a_missed_budget_is_a_failure_and_the_rest_runs(ran, tmp_path: Path, capsys) -> None:
    ran.codes["bench_diff"] = 1
    assert main(["bench", "diff", "watch", "--build-dir", str(tmp_path)]) == 1
    assert ran.programs == ["bench_diff", "bench_watch"]
    assert "failed: diff" in capsys.readouterr().err


def test_names(ran, capsys) -> None:
    assert main(["bench", "--list"]) == 0
    assert capsys.readouterr().out.split() == list(bench.programs())
    assert main(["bench", "speed"]) == 2
    assert "no benchmark 'speed'; there are" in capsys.readouterr().err
    assert ran.programs == []


def test_what_starts_qemu_is_known() -> None:
    starting = {
        name
        for name, path in bench.programs().items()
        if "tests.device" in path.read_text() or "tests.bench import lab" in path.read_text()
    }
    assert starting == bench.WITH_QEMU


def test_a_result_is_a_line_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    file = tmp_path / "results"
    monkeypatch.setenv(bench.RESULTS, str(file))
    assert (tell(RATIO), tell(RATE)) == (1, 0)
    first, second = capsys.readouterr().out.splitlines()
    assert " ".join(first.split()) == (
        "dump : xxd | cat 80.0 ms / 100.0 ms = 0.80 wall (at most 0.75) OVER BUDGET"
    )
    assert " ".join(second.split()) == "watch 9000 samples/s (at least 1000) ok"
    records = bench.load(file)
    assert records == [json.loads(json.dumps(r._asdict())) for r in (RATIO, RATE)]
    row = "| dump | xxd \\| cat | wall | 80.0 ms | 100.0 ms | 0.80 | at most 0.75 | over |"
    assert bench.table(records).splitlines()[2] == row
    assert bench.load(tmp_path / "absent") == []


def test_processor_time_is_that_of_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both take turns; who waits takes none of it, and the ratio is that of the rounds."""
    monkeypatch.setenv(bench.RESULTS, str(tmp_path / "results"))
    monkeypatch.setattr(sys, "argv", ["bench"])
    order: list[str] = []
    clock = iter(range(100))
    monkeypatch.setattr(ratio, "_processor_time", lambda: float(next(clock)))
    contest = Contest("a : b", lambda: order.append("a"), lambda: order.append("b"), 1.0, PROCESSOR)
    assert run([contest], 2) == 0
    assert order == ["a", "b", "b", "a", "a", "b"]
    (record,) = bench.load(tmp_path / "results")
    assert (record["clock"], record["ratio"], record["holds"]) == (PROCESSOR, 1.0, True)


@pytest.mark.parametrize(("value", "least", "most"), [(1.0, True, True), (2.0, True, False)])
def test_budgets(value: float, least: bool, most: bool) -> None:
    assert at_least(1, value) == ("at least 1", least)
    assert at_most(1, value) == ("at most 1", most)
