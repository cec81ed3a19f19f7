# SPDX-License-Identifier: MIT
"""The launcher with real guests: what a user types. What happens when one dies: test_deaths."""

from __future__ import annotations

import base64
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ntbdbg.lab.kernelmap import told_by_kernel
from ntbdbg.lab.qmp import Qmp
from ntbdbg.lab.sources.flatmap import from_mtree
from ntbdbg.memory.layout import as_seen
from ntbdbg.memory.segments import Segment
from run.base.config import cache_dir
from run.reach.console import TelnetFilter
from run.vm import memmap
from run.vm.argv import RAM_ID
from tests.support.checkout import TRACE
from tests.vm.support import CHECKOUT, START_TIMEOUT

pytestmark = pytest.mark.vm


def test_ssh_answers_on_both(lab):
    assert [lab.sh(n, "hostname") for n in (1, 2)] == ["qemu1", "qemu2"]
    assert lab.sh(1, "id -u") == "0"


def test_ssh_by_name_and_with_the_plain_client(lab):
    done = lab.run("ssh", "--name", lab.name, "qemu2", "--", "hostname")
    assert done.stdout == "qemu2\n"
    assert done.stderr == ""
    with socket.create_connection(("127.0.0.1", lab.manifest.guests[1].ssh_port)) as connection:
        assert connection.recv(4) == b"SSH-"


def test_ssh_takes_the_words_of_a_command_as_they_are(lab):
    done = lab.run("ssh", "--name", lab.name, "1", "uname", "-r")
    assert done.stdout == lab.sh(1, "uname -r") + "\n"
    assert lab.run("ssh", "--name", lab.name, "1", "df", "-h", "/").stdout.startswith("Filesystem")


def test_all_guests_have_the_users_one_host_key(lab):
    kept = (cache_dir() / "ssh" / "host_key").read_bytes()
    asked = [lab.sh(n, "dropbearkey -y -f /etc/dropbear/host_key | grep ^ssh") for n in (1, 2)]
    assert asked[0].split()[:2] == asked[1].split()[:2]
    assert base64.b64decode(asked[0].split()[1])[-32:] == kept[-32:]
    assert lab.sh(1, "stat -c %a /etc/dropbear/host_key") == "600"


def test_a_bridge_that_a_user_adds_stays_free(tool_lab):
    found = tool_lab.sh(1, "cd /sys/bus/pci/devices && grep -l 0x111d */vendor; ls").split()
    assert found[0].startswith("0000:00:")
    assert all(slot.startswith("0000:00:") for slot in found[1:])
    bridge = tool_lab.sh(1, "grep -l 0x060400 /sys/bus/pci/devices/*/class")
    assert len(bridge.split()) == 1


@pytest.mark.parametrize("code", [0, 1, 7, 200])
def test_ssh_passes_the_exit_code(lab, code):
    assert lab.ssh(1, f"exit {code}").returncode == code


def test_ssh_passes_standard_input(lab):
    assert lab.ssh(2, "cat > /tmp/in; wc -c < /tmp/in", stdin="x" * 100_000).stdout == "100000\n"


def test_telnet_answers_on_both(lab):
    for guest in lab.manifest.guests:
        with socket.create_connection(("127.0.0.1", guest.console_port), timeout=30) as console:
            console.sendall(b"\n")
            text, telnet = b"", TelnetFilter()
            while b"login:" not in text:
                text += telnet.feed(console.recv(4096))
        assert f"{guest.name} login:".encode() in text


def test_console_passes_both_ways_and_is_logged(lab):
    assert "login:" in lab.run("console", "--name", lab.name, "1", stdin="\n").stdout
    lab.run("console", "--name", lab.name, "1", stdin="root\n")
    words = "echo $((6*7))-answered\n"
    try:
        shown = lab.run("console", "--name", lab.name, "1", "--linger", "3", stdin=words).stdout
        assert "42-answered" in shown
        assert "42-answered" in lab.console_log(1)
    finally:  # whoever comes next finds the console as it was, whatever the order
        lab.run("console", "--name", lab.name, "1", stdin="exit\n")


def test_everything_listens_on_loopback_only(lab):
    ports = {p for g in lab.manifest.guests for p in (g.ssh_port, g.console_port)}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.split(":")
            if state == "0A" and int(port, 16) in ports:
                assert address == "0100007F"
                found.add(int(port, 16))
    assert found == ports


def test_status(lab):
    status = lab.status
    assert status["state"] == "linked"
    assert [guest["state"] for guest in status["guests"]] == ["running", "running"]
    assert all(guest["uptime"] > 0 for guest in status["guests"])
    assert status["link"]["server_runs"]
    text = lab.run("status", "--name", lab.name).stdout
    assert f"lab {lab.name}: linked" in text
    assert str(lab.manifest.guests[1].console_port) in text


def test_paused_guests_are_shown(lab):
    lab.ntbdbg("freeze")
    try:
        assert [guest["state"] for guest in lab.status["guests"]] == ["paused", "paused"]
        told = lab.ssh(1, "true")
        assert (told.returncode, "qemu1 is paused" in told.stderr) == (1, True)
    finally:
        lab.ntbdbg("resume")


def test_run_json(lab):
    manifest = lab.manifest
    kernel = manifest.guests[0].kernel
    assert kernel.release == lab.sh(1, "uname -r")
    assert kernel.cmdline == lab.sh(1, "cat /proc/cmdline")
    assert "ivshmem_master" in kernel.cmdline
    assert "ivshmem_master" not in manifest.guests[1].kernel.cmdline
    assert all(Path(p).exists() for p in (kernel.image, kernel.vmlinux, kernel.modules))
    for guest in manifest.guests:
        words = Path(f"/proc/{guest.process.pid}/cmdline").read_text().split("\0")[:-1]
        assert tuple(words) == guest.argv


def test_ram_files_are_private(lab):
    for guest in lab.manifest.guests:
        ram = Path(guest.ram.path)
        assert stat.S_IMODE(ram.stat().st_mode) == 0o600
        assert stat.S_IMODE(ram.parent.stat().st_mode) == 0o700
        assert ram.stat().st_ino == guest.ram.inode
    assert stat.S_IMODE(Path(lab.manifest.link.shared_page).stat().st_mode) == 0o600


def agree(guest) -> None:
    """QEMU's own memory map, run.json and the rule say the same."""
    with Qmp(guest.qmp, who=guest.name) as qmp:
        shown = from_mtree(qmp.human("info mtree -f"), RAM_ID)
    assert shown == guest.ram.segments == memmap.rule("q35", guest.ram.size)


def test_segments(lab):
    for guest in lab.manifest.guests:
        agree(guest)


def test_trace_goes_to_the_log(lab):
    lab.until(lambda: TRACE in lab.log(1) and TRACE in lab.log(2))


def test_taken_ports(lab):
    ssh, console = lab.ports
    words = [word for word in lab.start_words if word != lab.name]
    words.insert(words.index("--name") + 1, "second")
    told = lab.run(*words, "--detach", expect=1).stderr
    assert re.search(
        rf"port {ssh}, for ssh of qemu1, is taken by qemu-system-x86 \(pid \d+\)", told
    )
    words[words.index(str(ssh))] = str(console + 2)
    told = lab.run(*words, "--detach", expect=1).stderr
    assert f"port {console}, for the console of qemu1, is taken" in told
    assert "--console-port-base" in told


def test_the_same_name_is_refused(lab):
    told = lab.run(*lab.start_words, "--detach", expect=1).stderr
    assert f"lab {lab.name!r} runs already" in told
    assert lab.sh(1, "echo alive") == "alive"


def test_one_large_guest_in_the_foreground(make_lab, runtime):
    """4 GiB, sparse: RAM lies on both sides of the PCI hole. Ended by Ctrl-C, RAM kept."""
    options = ("--qemu-map-ram-to-shm=4096", "--overcommit", "--keep-ram")
    lab = make_lab(*options, kind="vm")
    argv = [sys.executable, str(CHECKOUT / "run"), *lab.start_words]
    ram = Path("/dev/shm/qemu")
    with subprocess.Popen(
        argv, env=lab.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as launcher:
        try:
            lab.until(lambda: is_linked(lab) or launcher.poll() is not None, START_TIMEOUT)
            assert launcher.poll() is None, launcher.stdout.read()
            assert ram.stat().st_size == 4096 << 20
            assert stat.S_IMODE(ram.stat().st_mode) == 0o600
            assert ram.stat().st_blocks * 512 < 1 << 30, "sparse"
            agree(lab.manifest.guests[0])
            both_sides_of_the_hole(lab)
            recorded = as_seen((Segment(s.gpa, s.size, s.offset) for s in segments(lab)), "q35")
            assert list(told_by_kernel(str(ram), 4096 << 20)) == list(recorded)
        finally:
            launcher.send_signal(signal.SIGINT)
            out, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 0, out
    assert "reboot: Power down" in (lab.folder / "qemu.console.log").read_text(errors="replace")
    assert ram.exists()
    assert lab.manifest.state == "stopped"
    lab.stop("--no-keep-ram")
    assert not ram.exists()


def segments(lab):
    return lab.manifest.guests[0].ram.segments


def is_linked(lab) -> bool:
    return (lab.folder / "run.json").exists() and lab.manifest.state == "linked"


def both_sides_of_the_hole(lab) -> None:
    """Firmware's tables lie just below it; pages that Linux hands out first lie above."""
    table = lab.sh(1, "od -An -v -tx1 /sys/firmware/acpi/tables/FACP").split()
    found = lab.json("search", "qemu", "hex:" + " ".join(table), "--range", "1M:2G")["matches"]
    assert found
    assert found[0]["address"] > 0x7FF00000
    lab.sh(1, "echo marker-7f3a-above > /tmp/marker")
    where = ("--range", "4G:6G", "--align", "4K")
    found = lab.json("search", "qemu", "str:marker-7f3a-above", *where)["matches"]
    (high,) = [match["address"] for match in found]
    assert high >= 4 << 30
    lab.ntbdbg("patch", "qemu", f"{high:#x}", "str:MARKER-7F3A")
    assert lab.sh(1, "cat /tmp/marker") == "MARKER-7F3A-above"
