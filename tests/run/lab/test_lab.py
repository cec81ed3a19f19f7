# SPDX-License-Identifier: MIT
"""Labs of stand-ins, real processes all of them: starting, ending, being killed, cleaning up."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from run.base.deadline import Deadline
from run.lab.name import holder
from run.steps.artifacts import GuestImage
from run.vm.plan import SHM
from tests.run.conftest import QUIET

QMP_SOCKETS = {"qemu1.qmp", "qemu1.qmp-launcher", "qemu2.qmp", "qemu2.qmp-launcher"}


def until(test, seconds=10.0):
    assert Deadline(seconds).poll(test)


def processes(launcher, name="default"):
    """Everything of the lab that runs, the supervisor included."""
    manifest = launcher.manifest(name)
    refs = [guest.process for guest in manifest.guests]
    refs += [manifest.launcher, manifest.link.server if manifest.link else None]
    return [ref for ref in refs if ref is not None and ref.is_alive()]


def kill(process, number=signal.SIGKILL):
    os.kill(process.pid, number)
    until(lambda: not process.is_alive())


def awaited(port):
    """VM 1 has an ssh port, on which a stand-in never greets; VM 2 has none."""
    own = f"-netdev user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"
    return [f"--vm1-opts-override={own}", "--vm2-opts-override="]


def only_logs_are_left(launcher, name="default"):
    paths = launcher.paths(name)
    left = {entry.name for entry in paths.folder.iterdir()}
    assert not [entry for entry in left if not entry.endswith(".log") and entry != "lock"]
    assert not paths.shm.exists()
    assert not (SHM / paths.page_name).exists()
    return True


def test_up_and_down(launcher):
    done = launcher.vms()
    assert "python3 run stop" in done.stdout
    manifest = launcher.manifest()
    assert manifest.state == "linked"
    assert len(processes(launcher)) == 4
    folder = launcher.paths().folder
    assert {e.name for e in folder.iterdir()} >= QMP_SOCKETS
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(launcher.paths().manifest.stat().st_mode) == 0o600

    before = processes(launcher)
    launcher("stop")
    assert not [process for process in before if process.is_alive()]
    assert only_logs_are_left(launcher)
    assert "fake qemu starts" in (folder / "qemu1.log").read_text()
    assert launcher("stop").stderr == "nothing to stop\n"
    assert launcher("stop", "1", "2", expect=2).stderr == (
        "run: stop ends one guest, or a whole lab by its options; 'python3 run stop 2', or"
        " 'python3 run stop --lab NAME'\n"
    )


def test_a_detached_lab_keeps_nothing_of_its_starters_open(launcher, tmp_path):
    """`flock FILE python3 run vms --detach` must let go of FILE."""
    with (tmp_path / "lock").open("w") as lock:
        words = ["vms", "--build-dir", str(launcher.build), "--detach", *QUIET]
        subprocess.run(
            launcher.argv(*words), pass_fds=[lock.fileno()], env=launcher.environ, check=True
        )
        wanted = os.fstat(lock.fileno())
        for process in processes(launcher):
            held = [entry.stat() for entry in os.scandir(f"/proc/{process.pid}/fd")]
            assert not [one for one in held if os.path.samestat(one, wanted)]


def test_run_json_tells_everything(launcher):
    launcher.vms("--memory", "64", "--cmdline-common=more")
    manifest = launcher.manifest()
    first, second = manifest.guests
    assert (first.name, first.index, first.port) == ("qemu1", 0, 0)
    assert (second.name, second.index, second.port) == ("qemu2", 1, 2)
    ram = Path(first.ram.path)
    assert ram.parent == launcher.paths().shm
    assert (ram.stat().st_ino, ram.stat().st_dev) == (first.ram.inode, first.ram.device)
    assert ram.stat().st_size == first.ram.size == 64 << 20
    assert stat.S_IMODE(ram.stat().st_mode) == 0o600
    assert first.ram.segments[-1].gpa + first.ram.segments[-1].size == 64 << 20
    assert first.process.is_alive()
    running = Path(f"/proc/{first.process.pid}/cmdline").read_text().split("\0")[:-1]
    assert tuple(running[-len(first.argv) :]) == first.argv
    assert first.kernel.release == "6.1.0-fake"
    assert first.kernel.vmlinux == "/guest/vmlinux"
    assert first.kernel.cmdline.endswith("ivshmem_master more")
    assert (first.machine, first.accelerator in ("tcg", "kvm")) == ("q35", True)
    page = Path(manifest.link.shared_page)
    assert page.stat().st_size == 1 << 20
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert manifest.launcher.is_alive()


def test_one_vm(launcher):
    launcher("vm", "--build-dir", str(launcher.build), "--detach", "--vm1-opts-override=")
    manifest = launcher.manifest()
    assert [guest.name for guest in manifest.guests] == ["qemu"]
    assert manifest.link is None
    launcher("stop")
    assert only_logs_are_left(launcher)


def test_the_same_name_twice_is_refused(launcher):
    launcher.vms()
    before = processes(launcher)
    done = launcher.vms(expect=1)
    assert "lab 'default' runs already; 'python3 run stop --name default'" in done.stderr
    assert processes(launcher) == before


def test_two_labs_do_not_touch_each_other(launcher):
    launcher.vms()
    launcher.vms("--name", "other")
    launcher("stop", "--name", "other")
    assert only_logs_are_left(launcher, "other")
    assert len(processes(launcher)) == 4
    assert Path(launcher.manifest().guests[0].ram.path).exists()


def test_stop_all(launcher):
    launcher.vms()
    launcher.vms("--name", "other")
    launcher("stop", "--all")
    assert only_logs_are_left(launcher)
    assert only_logs_are_left(launcher, "other")


def test_killed_guest_is_shown_until_stop(launcher):
    launcher.vms()
    guest = launcher.manifest().guests[1]
    Path(guest.console_log).write_text("last words\n")
    kill(guest.process)
    until(lambda: launcher.manifest().guests[1].exit is not None)
    assert launcher.manifest().guests[1].exit.code == -signal.SIGKILL
    assert Path(guest.ram.path).exists()
    shown = launcher("status").stdout
    assert "qemu2 was killed by SIGKILL" in shown
    assert "console: last words" in shown
    (lab,) = launcher.status()
    assert [g["state"] for g in lab["guests"]] == ["running", "ended"]
    assert lab["guests"][1]["exit_code"] == -9
    assert "does not run; 'python3 run status'" in launcher("ssh", "2", expect=1).stderr
    launcher("stop")
    assert only_logs_are_left(launcher)


def test_a_dead_guest_is_started_again(launcher):
    launcher.vms("--name", "left", "--vms=3", "--vm3-opts-override=")
    one, two, three = launcher.manifest("left").guests
    Path(two.log).write_text("former words\n")
    kill(two.process)
    until(lambda: launcher.manifest("left").guests[1].exit is not None)
    assert "'python3 run start 2 --name left' starts it again" in launcher("status").stdout
    launcher("start", "2", "--name", "left")
    now = launcher.manifest("left").guests
    assert (now[0], now[2]) == (one, three)
    assert now[1].process.is_alive()
    assert now[1].exit is None
    assert now[1].argv == two.argv
    assert now[1].ram.inode != two.ram.inode
    assert (now[1].ram.size, now[1].ram.segments) == (two.ram.size, two.ram.segments)
    assert Path(two.ram.path).stat().st_ino == now[1].ram.inode
    assert Path(two.log).with_suffix(".previous.log").read_text() == "former words\n"
    assert "fake qemu starts" in Path(two.log).read_text()
    assert "qemu2 was started again" in launcher.paths("left").launcher_log.read_text()
    assert [g["state"] for g in launcher.status()[0]["guests"]] == ["running"] * 3
    kill(now[1].process)
    until(lambda: launcher.manifest("left").guests[1].exit is not None)
    launcher("start", "qemu2")
    launcher("stop")
    assert only_logs_are_left(launcher, "left")


def test_what_cannot_be_started_again(launcher, monkeypatch):
    assert "no lab 'default'" in launcher("start", "1", expect=1).stderr
    launcher.vms()
    assert "qemu1 runs" in launcher("start", "1", expect=1).stderr
    assert "no guest '3'" in launcher("start", "3", expect=2).stderr
    guest = launcher.manifest().guests[1]
    kill(guest.process)
    until(lambda: launcher.manifest().guests[1].exit is not None)
    program = Path(guest.argv[0])
    program.rename(program.with_suffix(".away"))
    failed = launcher("start", "2", expect=1).stderr
    program.with_suffix(".away").rename(program)
    assert "cannot be run" in failed
    launcher("start", "2")  # nothing of the failure is left
    kill(launcher.manifest().launcher)
    kill(launcher.manifest().guests[1].process)
    assert "nobody looks after lab 'default'" in launcher("start", "2", expect=1).stderr


def test_when_all_guests_ended_the_rest_stays_to_be_looked_at(launcher):
    launcher.vms()
    for guest in launcher.manifest().guests:
        kill(guest.process)
    until(lambda: launcher.manifest().state == "stopped")
    manifest = launcher.manifest()
    until(lambda: not manifest.launcher.is_alive())
    assert not manifest.link.server.is_alive()
    assert Path(manifest.link.shared_page).exists()
    assert all(Path(guest.ram.path).exists() for guest in manifest.guests)
    launcher.vms()
    assert launcher.manifest().state == "linked"


def test_panic_is_shown(launcher):
    launcher.vms("--common-opts=-fake panic")
    until(lambda: all(guest.panicked for guest in launcher.manifest().guests))
    assert "qemu1 panicked; it stays to be looked at" in launcher("status").stdout
    began = time.monotonic()
    launcher("stop")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("command", ["stop", "vms"])
def test_killed_launcher_leaves_nothing_that_cannot_be_cleaned_up(launcher, command):
    launcher.vms()
    launcher.vms("--name", "other")
    old = processes(launcher)
    kill(launcher.manifest().launcher)
    assert len(processes(launcher)) == 3
    assert "its launcher was killed" in launcher("status").stdout
    if command == "stop":
        launcher("stop", "--name", "default")
        assert only_logs_are_left(launcher)
    else:
        assert "ended guests whose launcher was killed" in launcher.vms().stderr
        assert len(processes(launcher)) == 4
    assert not [process for process in old if process.is_alive()]
    assert len(processes(launcher, "other")) == 4


def test_killed_before_anything_was_written_down(launcher):
    """Even without run.json the lab's processes and files are found by their names."""
    launcher.vms()
    old = processes(launcher)
    kill(launcher.manifest().launcher)
    launcher.paths().manifest.unlink()
    launcher("stop")
    assert not [process for process in old if process.is_alive()]
    assert only_logs_are_left(launcher)


def test_stale_run_json_of_foreign_processes(launcher):
    """A pid that now belongs to somebody else is not touched, whatever run.json says."""
    launcher.vms()
    launcher("stop")
    launcher.vms("--name", "other")
    with subprocess.Popen(["sleep", "60"]) as bystander:
        data = launcher.manifest("other").to_json()
        fields = Path(f"/proc/{bystander.pid}/stat").read_text().rsplit(")", 1)[1].split()
        foreign = {"pid": bystander.pid, "start_time": int(fields[19])}
        for guest in data["guests"]:
            guest["process"] = foreign
        data["link"]["server"] = data["launcher"] = foreign
        data["lab"] = "default"
        launcher.paths().manifest.write_text(json.dumps(data))
        launcher.paths().manifest.chmod(0o600)
        launcher("stop", "--name", "default")
        assert bystander.poll() is None
        assert len(processes(launcher, "other")) == 4
        assert Path(launcher.manifest("other").guests[0].ram.path).exists()
        bystander.kill()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_broken_run_json(launcher, content):
    launcher.vms()
    old = processes(launcher)
    launcher.paths().manifest.write_text(content)
    assert "'python3 run stop --name default' cleans up" in launcher("status").stderr
    assert "cleans up" in launcher("ssh", "1", expect=1).stderr
    launcher("stop")
    assert only_logs_are_left(launcher)
    assert not [process for process in old if process.is_alive()]


def test_keep_ram(launcher):
    launcher.vms("--keep-ram")
    rams = [Path(guest.ram.path) for guest in launcher.manifest().guests]
    assert "kept" in launcher("stop").stderr
    assert all(ram.exists() for ram in rams)
    assert launcher.manifest().state == "stopped"
    assert Path(launcher.manifest().link.shared_page).exists()
    launcher("stop")
    assert all(ram.exists() for ram in rams)
    launcher("stop", "--no-keep-ram")
    assert only_logs_are_left(launcher)


def test_keep_ram_said_at_the_end(launcher):
    launcher.vms()
    ram = Path(launcher.manifest().guests[0].ram.path)
    launcher("stop", "--keep-ram")
    assert ram.exists()
    launcher.vms()
    assert launcher.manifest().state == "linked"
    launcher("stop")
    assert not ram.exists()


def test_deaf_guest_is_killed(launcher):
    launcher.vms("--common-opts=-fake deaf")
    old = processes(launcher)
    launcher("stop")
    assert not [process for process in old if process.is_alive()]


def test_frozen_guest_is_killed(launcher):
    launcher.vms()
    old = processes(launcher)
    os.kill(launcher.manifest().guests[0].process.pid, signal.SIGSTOP)
    launcher("stop")
    assert not [process for process in old if process.is_alive()]


def test_qemu_that_does_not_start(launcher):
    done = launcher.vms("--vm2-opts=-fake exit=3", expect=1)
    assert "qemu2 ended with exit code 3 while it was being started; it said" in done.stderr
    assert "fake qemu: cannot set up guest memory" in done.stderr
    assert only_logs_are_left(launcher)
    launcher.vms()


def test_server_that_does_not_start(launcher):
    done = launcher.vms("--server-opts=-x", expect=1)
    assert "ivshmem-server ended with exit code 1" in done.stderr
    assert "fake server: cannot bind" in done.stderr
    assert only_logs_are_left(launcher)


def test_program_that_is_not_there(launcher):
    (launcher.build / "qemu-system-x86_64").unlink()
    done = launcher.vms(expect=1)
    assert "qemu1 cannot be run" in done.stderr
    assert only_logs_are_left(launcher)


def test_missing_build(launcher):
    shutil.rmtree(launcher.build / "guest")
    assert "no guest build" in launcher.vms(expect=1).stderr
    assert "python3 run build guest" in launcher.vms(expect=1).stderr


def test_taken_port(launcher, free_port):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen(1)
        words = ["vms", "--build-dir", str(launcher.build), "--detach"]
        done = launcher(*words, "--ssh-port-base", str(free_port), expect=1)
    assert f"port {free_port}, for ssh of qemu1, is taken by" in done.stderr
    assert "move it by --ssh-port-base=PORT" in done.stderr
    assert only_logs_are_left(launcher)


def test_boot_timeout_leaves_the_lab_to_be_looked_at(launcher, free_port):
    """Stand-ins never accept ssh."""
    words = [*awaited(free_port), "--boot-timeout", "0.3"]
    done = launcher("vms", "--build-dir", str(launcher.build), "--detach", *words, expect=1)
    assert "qemu1 did not accept ssh within 0.3 s; the lab stays as it is" in done.stderr
    assert launcher.manifest().state == "booted"
    assert len(processes(launcher)) == 4
    launcher("stop")


def test_guest_that_dies_while_booting(launcher, free_port):
    words = ["--build-dir", str(launcher.build), "--detach", *awaited(free_port)]
    starting = launcher.start("vms", *words)
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "booted")
    kill(launcher.manifest().guests[0].process)
    _, told = starting.communicate(timeout=20)
    assert starting.returncode == 1
    assert "qemu1 was killed by SIGKILL while booting" in told


def in_foreground(launcher, *words):
    return launcher.start("vms", "--build-dir", str(launcher.build), *words)


def test_foreground_ends_by_ctrl_c(launcher):
    process = in_foreground(launcher, *QUIET)
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "linked")
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Ctrl-C" in out
    assert told.endswith("stopped\n")
    assert only_logs_are_left(launcher)


def test_ctrl_c_while_booting(launcher, free_port):
    process = in_foreground(launcher, *awaited(free_port))
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "booted")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert only_logs_are_left(launcher)


def test_ctrl_c_while_waiting_for_the_background(launcher, free_port):
    words = ["--build-dir", str(launcher.build), "--detach", *awaited(free_port)]
    process = launcher.start("vms", *words)
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "booted")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert only_logs_are_left(launcher)


def test_second_ctrl_c_kills(launcher):
    """A guest with disks would get 30 s to write them."""
    process = in_foreground(launcher, *QUIET, "--common-opts=-fake deaf -fake disk")
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "linked")
    guest = launcher.manifest().guests[0].process
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert not Deadline(1.0).poll(lambda: not guest.is_alive())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 15
    assert not guest.is_alive()
    assert only_logs_are_left(launcher)


def test_foreground_ends_with_its_last_guest(launcher):
    process = in_foreground(launcher, *QUIET)
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "linked")
    for guest in launcher.manifest().guests:
        os.kill(guest.process.pid, signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "qemu1 was killed by SIGTERM" in told
    assert "no guest is left" in told


def test_kill_9_in_the_foreground_then_vms_again(launcher):
    process = in_foreground(launcher, *QUIET)
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "linked")
    process.kill()
    process.communicate()
    launcher.vms()
    assert len(processes(launcher)) == 4


def test_dry_run_touches_nothing(launcher):
    done = launcher("vms", "--build-dir", str(launcher.build), "--dry-run", "--trace", "idt_*")
    lines = done.stdout.splitlines()
    assert [Path(line.split()[0]).name for line in lines] == [
        "ivshmem-server",
        "qemu-system-x86_64",
        "qemu-system-x86_64",
    ]
    assert "-trace 'idt_*'" in lines[1]
    assert not launcher.paths().folder.exists()


def test_dry_run_prints_what_is_started(launcher):
    launcher.vms("--memory=64")
    words = ["--dry-run", "--memory=64", "--vm1-opts-override=", "--vm2-opts-override="]
    done = launcher("vms", "--build-dir", str(launcher.build), *words)
    printed = [tuple(shlex.split(line)) for line in done.stdout.splitlines()]
    assert printed[1:] == [guest.argv for guest in launcher.manifest().guests]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--trace", "nope*"], "no event is called so; try '*ntb_*'"),
        (["--common-opts=-m 512"], "use --memory MIB"),
        (["--qemu-map-ram-to-shm=1G"], "MiB without suffix"),
        (["--name", "../x"], "cannot name a lab"),
        (["--ssh-port-base=8000"], "port 8001 would be used twice"),
        (["--smp=0"], "--smp"),
        (["--common-opts='"], "No closing quotation"),
    ],
)
def test_usage(launcher, words, told):
    done = launcher("vms", "--build-dir", str(launcher.build), *words, expect=2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_lab_that_is_not_there(launcher):
    told = launcher("ssh", "--name", "x", "1", expect=1).stderr
    assert "no lab 'x'; 'python3 run vms' starts one" in told
    launcher.vms()
    assert "no lab 'x'; there are default" in launcher("status", "--name", "x", expect=1).stderr
    told = launcher("ssh", "3", expect=2).stderr
    assert "no guest '3' in lab 'default'; it has 1 (qemu1), 2 (qemu2)" in told


def test_several_labs_and_none_named(launcher):
    launcher.vms("--name", "other")
    assert "no port forwarded" in launcher("ssh", "1", expect=1).stderr
    launcher.vms("--name", "default")
    assert "several labs run: default, other; name one" in launcher("ssh", "1", expect=2).stderr


def test_a_lab_that_nobody_named_is_named(launcher):
    launcher.vms("--name", "other")
    told = launcher("ssh", "1", expect=1).stderr
    assert told.startswith("run: lab 'other', the only one that runs\n")
    assert "run: lab" not in launcher("ssh", "--name", "other", "1", expect=1).stderr
    assert "stopping lab 'other'" in launcher("stop").stderr


def test_a_paused_guest_is_not_waited_for(launcher, free_port):
    words = [f"--vm1-opts-override=-fake paused {awaited(free_port)[0].partition('=')[2]}"]
    launcher.vms(*words, "--boot-timeout", "0.1", expect=1)
    told = launcher("ssh", "1", "uname", expect=1).stderr
    assert told == (
        "run: qemu1 is paused, so it does not answer; 'ntbdbg resume' lets it go on;"
        " ntbdbg reads its memory meanwhile\n"
    )


def test_the_host_key_is_in_front_of_the_image(launcher):
    launcher.vms()
    initrd = launcher.paths().initrd
    assert stat.S_IMODE(initrd.stat().st_mode) == 0o600
    data = initrd.read_bytes()
    assert data.endswith(b"an archive")
    assert "host_key" in data.decode("latin-1")
    argv = launcher.manifest().guests[0].argv
    assert argv[argv.index("-initrd") + 1] == str(initrd)
    launcher("stop")
    assert not initrd.exists()


def test_a_guest_with_a_kernel_of_its_own(launcher):
    """It has an image and a first root file system of its own, which goes with the lab, too."""
    archive = launcher.build / "another"
    archive.write_bytes(b"another archive")
    GuestImage(
        release="6.12-fake",
        kernel="/guest/other",
        initramfs=str(archive),
        vmlinux="",
        modules="",
        key="fake",
        notes=["other: no BTF in it"],
    ).save(launcher.build / "kernels/debian-trixie")
    done = launcher.vms("--vm2-kernel=debian:trixie")
    assert "run: other: no BTF in it\n" in done.stderr
    paths = launcher.paths()
    wanted = {
        "qemu1": ("6.1.0-fake", "/guest/vmlinuz", paths.initrd, b"an archive"),
        "qemu2": ("6.12-fake", "/guest/other", paths.own_initrd("qemu2"), b"another archive"),
    }
    for guest in launcher.manifest().guests:
        release, kernel, initrd, content = wanted[guest.name]
        assert (guest.kernel.release, guest.kernel.image) == (release, kernel)
        assert guest.argv[guest.argv.index("-kernel") + 1] == kernel
        assert guest.argv[guest.argv.index("-initrd") + 1] == str(initrd)
        assert initrd.read_bytes().endswith(content)
    assert launcher.manifest().guests[1].kernel.vmlinux is None
    launcher("stop")
    assert not [path for path in paths.folder.iterdir() if "initrd" in path.name]


def test_a_build_folder_that_is_not_there(launcher, tmp_path):
    told = launcher("vms", "--build-dir", str(tmp_path / "none"), expect=1).stderr
    assert f"--build-dir={tmp_path}/none: there is no such folder; leave it out" in told
    told = launcher("vms", "--build-dir", str(tmp_path), expect=1).stderr
    assert f"python3 run build qemu --build-dir={tmp_path}" in told


def test_one_vm_says_what_has_no_effect(launcher):
    words = ["vm", "--build-dir", str(launcher.build), "--dry-run", "--vm2-opts=-s"]
    assert "--vm2-opts has no effect" in launcher(*words).stderr


def test_a_failed_step_stays_failed(launcher, monkeypatch):
    from run.base.errors import RunError
    from run.lab.lab import Lab, State
    from run.steps.artifacts import GuestImage, QemuInstall
    from run.vm.argv import Build
    from run.vm.options import Extra, LaunchOptions

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(launcher.runtime))
    build = Build(QemuInstall.load(launcher.build), GuestImage.load(launcher.build), "tcg")
    empty = tuple(Extra(f"--vm{n}-opts", override="-fake exit=1") for n in (1, 2))
    lab = Lab(LaunchOptions(per_vm=empty), build, launcher.paths(), say=lambda _: None)
    lab.build()
    with pytest.raises(RunError) as first:
        lab.boot()
    with pytest.raises(RunError) as again:
        lab.link()
    assert again.value is first.value
    assert lab.state is State.BUILT
    assert first.value.process_exit == 1
    assert first.value.argv[0].endswith("qemu-system-x86_64")
    lab.stop(hurry=lambda: True)
    assert holder(launcher.paths()) is None, "this process lives on without it"


def test_nobody_reads_the_output(launcher):
    """`python3 run vms | head -1`: standard output goes away while guests are started."""
    process = in_foreground(launcher, *QUIET)
    process.stdout.close()
    process.stdout = None
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert only_logs_are_left(launcher)


def test_closed_terminal_stops_the_guests(launcher):
    process = in_foreground(launcher, *QUIET)
    until(lambda: launcher.paths().manifest.exists() and launcher.manifest().state == "linked")
    process.stderr.close()
    process.stderr = None
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=20)
    assert only_logs_are_left(launcher)


def test_runtime_folder_of_somebody_else(launcher):
    root = launcher.runtime / "ntbdbg"
    root.mkdir()
    root.chmod(0o777)
    told = launcher.vms(expect=1).stderr
    assert f"{root}: others may write to it, so it is not trusted; chmod go-w {root}" in told
    root.rmdir()
    root.symlink_to(launcher.build)
    assert f"{root}: is a link, so it is not trusted" in launcher.vms(expect=1).stderr
    root.unlink()
