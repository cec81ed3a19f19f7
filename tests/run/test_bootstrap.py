# SPDX-License-Identifier: MIT
"""What happens before .venv exists, while it is made, and when it is broken."""

from __future__ import annotations

import ast
import fcntl
import os
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from run import bootstrap
from run.base import forroot

MAIN = Path(bootstrap.__file__).with_name("__main__.py")


def test_a_checkout_whose_path_has_a_colon_has_its_venv_in_the_cache() -> None:
    plain, odd, other = Path("/src/ntbdbg"), Path("/src/a:b"), Path("/src/a:c")
    environ = {"XDG_CACHE_HOME": "/c"}
    assert bootstrap.venv_of(plain, environ) == plain / ".venv"
    assert bootstrap.venv_of(odd, environ).parent == Path("/c/ntbdbg")
    assert bootstrap.venv_of(odd, environ) != bootstrap.venv_of(other, environ)
    for checkout in (plain, odd):
        assert bootstrap.venv_of(checkout, {"NTBDBG_VENV": "/v"}) == Path("/v")


INTERRUPTED_AT = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.path.insert(0, "run")
sys.argv = ["run", "status"]
runpy.run_path("run", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["run.bootstrap", "run.cli.main", "click", "run.lab.status"])
def test_ctrl_c_while_modules_are_imported(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT.format(name=module)],
        cwd=bootstrap.CHECKOUT,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "run: interrupted"


class Place:
    """A checkout without .venv, and what the bootstrap did to it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.done: list[str] = []
        self.failing = False
        (root / "pyproject.toml").write_text("[project]\n")
        monkeypatch.setattr(bootstrap, "CHECKOUT", root)
        monkeypatch.setattr(bootstrap, "VENV", self.venv)
        monkeypatch.setattr(bootstrap, "LOG", root / ".venv.log")
        monkeypatch.setattr(bootstrap, "_make_venv", self._make)
        monkeypatch.setattr(bootstrap, "_install_project", self._install)
        monkeypatch.setattr(bootstrap, "_works", lambda venv: (venv / "bin/python").exists())

    def _make(self, may_install: bool) -> None:
        self.done.append("make")
        (self.venv / "bin").mkdir(parents=True, exist_ok=True)
        (self.venv / "bin/python").symlink_to(sys.executable)

    def _install(self) -> None:
        self.done.append("install")
        if self.failing:
            raise KeyboardInterrupt
        (self.venv / "bin/ntbdbg").touch()

    def ensure(self) -> list[str]:
        """Bring .venv into shape; gives what had to be done for it."""
        self.done.clear()
        bootstrap.ensure_venv()
        return list(self.done)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_first_use_makes_all_and_the_second_nothing(place: Place) -> None:
    assert place.ensure() == ["make", "install"]
    assert place.ensure() == []


def test_a_changed_project_file_installs_into_the_same_venv(place: Place) -> None:
    place.ensure()
    (place.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert place.ensure() == ["install"]


def test_an_interrupted_install_is_taken_up_again(place: Place) -> None:
    place.failing = True
    with pytest.raises(KeyboardInterrupt):
        place.ensure()
    place.failing = False
    assert place.ensure() == ["install"]
    assert bootstrap.is_current(place.venv, place.root)


def test_a_venv_whose_python_went_away_is_made_anew(place: Place) -> None:
    place.ensure()
    (place.venv / "bin/python").unlink()
    assert place.ensure() == ["make", "install"]


def test_a_venv_that_lost_its_programs_is_mended(place: Place) -> None:
    place.ensure()
    (place.venv / "bin/ntbdbg").unlink()
    assert place.ensure() == ["install"]


def test_a_python_that_was_replaced_counts_as_a_change(place: Place, tmp_path: Path) -> None:
    place.ensure()
    other = tmp_path / "python3.99"
    other.touch()
    (place.venv / "bin/python").unlink()
    (place.venv / "bin/python").symlink_to(other)
    assert not bootstrap.is_current(place.venv, place.root)


def test_which_python_asks_does_not_count(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.ensure()
    monkeypatch.setattr(sys, "version", "3.13.1 (another)")
    monkeypatch.setattr(sys, "_base_executable", "/opt/python3.13", raising=False)
    assert place.ensure() == []


def test_a_moved_checkout_is_set_up_anew(place: Place, tmp_path: Path) -> None:
    place.ensure()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pyproject.toml").write_bytes((place.root / "pyproject.toml").read_bytes())
    assert bootstrap.is_current(place.venv, place.root)
    assert not bootstrap.is_current(place.venv, elsewhere)


SECOND = """
import sys
from pathlib import Path
from run import bootstrap
with bootstrap._lock(Path(sys.argv[1])), open(sys.argv[2], "a") as order:
    order.write("second\\n")
"""


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    lock, order = tmp_path / "lock", tmp_path / "order"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = subprocess.Popen(
            [sys.executable, "-c", SECOND, str(lock), str(order)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=MAIN.parents[1],
        )
        assert other.stderr is not None
        assert "waiting for it" in other.stderr.readline()
        order.write_text("first\n")
    assert other.wait() == 0
    assert order.read_text() == "first\nsecond\n"


def test_a_checkout_that_is_not_ours_to_write_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(bootstrap.BootstrapError, match="must be writable"),
        bootstrap._lock(tmp_path / "missing" / "lock"),
    ):
        pass


@pytest.mark.parametrize(("uid", "sudo"), [(1000, "sudo "), (0, "")])
def test_without_ensurepip_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(bootstrap.BootstrapError) as caught:
        bootstrap._install_venv_package(may_install=False)
    assert f"; {sudo}apt-get update && {sudo}apt-get install" in str(caught.value)
    assert "python3-venv" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_failed_step_shows_the_end_of_its_log(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "for i in $(seq 100); do echo line $i; done; exit 7"
    with pytest.raises(bootstrap.BootstrapError, match=r"failed with exit code 7; .*venv\.log"):
        bootstrap._run(["sh", "-c", script], "a step")
    shown = capsys.readouterr().err
    assert "line 100" in shown
    assert "line 1\n" not in shown


def test_an_old_python_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(MAIN), run_name="__main__")
    assert caught.value.code == 3
    assert "Python 3.11 or newer is needed, this is 3.9.18" in capsys.readouterr().err


def test_the_entry_parses_on_any_python() -> None:
    tree = ast.parse(MAIN.read_text())
    modern = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match)
    assert not [node for node in ast.walk(tree) if isinstance(node, modern)]
    first = next(node for node in tree.body if isinstance(node, ast.If))
    imported = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
    assert all(node.lineno > first.lineno for node in imported), "checked before ours is imported"


def test_the_bootstrap_uses_the_standard_library_only() -> None:
    allowed = {*sys.stdlib_module_names, "run"}
    for path in (MAIN, Path(bootstrap.__file__), Path(forroot.__file__)):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed


def test_modules_of_ours_never_shadow_the_standard_library(tmp_path: Path) -> None:
    package = tmp_path / "run"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bootstrap.py").write_text(
        textwrap.dedent("""
            import shlex, sys
            def main(arguments):
                assert hasattr(shlex, "quote"), "run/shlex.py was taken"
                assert not any(p.endswith("/run") for p in sys.path)
                sys.exit(0)
        """)
    )
    (package / "shlex.py").touch()
    (package / "__main__.py").write_text(MAIN.read_text())
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, str(package)) == 0
