# SPDX-License-Identifier: MIT
"""Stand-ins for QEMU and ivshmem-server: real processes that take the launcher's command lines.

The fake QEMU answers QMP on its two sockets. What it does besides is chosen by a word among its
options, ``-fake WORD``: ``exit=3`` ends at once, ``deaf`` ignores power button and quit,
``panic`` reports a kernel panic, ``disk`` has one, ``paused`` and ``debug`` say
it is, ``old`` has a device without a cable.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from run.steps.artifacts import GuestImage, QemuInstall

QEMU = r"""
import json, re, selectors, signal, socket, sys, time

words = sys.argv[1:]
if words == ["-trace", "help"]:
    print("idt_ntb_db_set\nidt_ntb_irq")
    sys.exit()
fakes = [words[i + 1] for i, word in enumerate(words) if word == "-fake"]
print("fake qemu starts", flush=True)
for fake in fakes:
    if fake.startswith("exit="):
        print("fake qemu: cannot set up guest memory", file=sys.stderr, flush=True)
        sys.exit(int(fake[5:]))

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""},
                    "capabilities": []}}
STAMP = {"seconds": 1, "microseconds": 0}
selector = selectors.DefaultSelector()

def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    selector.register(listener, selectors.EVENT_READ, None)

def send(client, **message):
    client.sendall(json.dumps(message).encode() + b"\r\n")

state = next((fake for fake in fakes if fake in ("paused", "debug")), "running")
cable = True
NO_CABLE = {"class": "GenericError", "desc": "no property"}

def answer(client, request):
    global state, cable
    name, result = request["execute"], {}
    given = request.get("arguments", {})
    extra = {"id": request["id"]} if "id" in request else {}
    if name == "query-status":
        result = {"status": state, "running": state == "running"}
    elif name in ("stop", "cont"):
        state = "paused" if name == "stop" else "running"
    elif name == "qom-list":
        kinds = [word.split(",")[0] for word in words if word.startswith(("idt-ntb", "ntb-epf"))]
        here = kinds if "anon" in given["path"] else []
        result = [{"name": "device[0]", "type": "child<" + kind + ">"} for kind in here]
    elif given.get("property") == "link" and "old" in fakes:
        return send(client, error=NO_CABLE, **extra)
    elif name == "qom-get" and given["property"] == "link":
        result = cable
    elif name == "qom-set":
        cable = given["value"]
    elif name == "qom-get":
        result = "pc-q35-10.0-machine"
    elif name == "query-block":
        result = [{"device": "d", "inserted": {}}] if "disk" in fakes else []
    elif name == "human-monitor-command":
        result = "no such view"
    send(client, **{"return": result}, **extra)
    if name == "system_reset" and state == "running":
        send(client, event="RESET", data={"guest": False}, timestamp=STAMP)
    if name == "qmp_capabilities" and "panic" in fakes:
        send(client, event="GUEST_PANICKED", data={"action": "run"}, timestamp=STAMP)
    if name in ("quit", "system_powerdown") and "deaf" not in fakes:
        sys.exit(0)

for i, word in enumerate(words):
    match = re.match(r"socket,id=qmp[^,]*,path=(.*?),server=on", words[i])
    if match:
        listen(match[1].replace(",,", ","))

texts = {}
while True:
    for key, _ in selector.select():
        if key.data is None:
            client, _ = key.fileobj.accept()
            selector.register(client, selectors.EVENT_READ, "client")
            texts[client] = ""
            send(client, **GREETING)
            continue
        client = key.fileobj
        data = client.recv(65536).decode()
        if not data:
            selector.unregister(client)
            client.close()
            continue
        texts[client] += data
        while texts[client].strip():
            try:
                request, end = json.JSONDecoder().raw_decode(texts[client].lstrip())
            except ValueError:
                break
            texts[client] = texts[client].lstrip()[end:]
            answer(client, request)
"""

SERVER = r"""
import os, signal, socket, sys
words = sys.argv[1:]
if "-x" in words:
    sys.exit("fake server: cannot bind")
name = words[words.index("-M") + 1]
page = "/dev/shm/" + name
handle = os.open(page, os.O_RDWR | os.O_CREAT, 0o700)
os.ftruncate(handle, 1 << 20)
path = words[words.index("-S") + 1]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(5)
def leave(*_):
    os.unlink(path)
    os.unlink(page)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
while True:
    signal.pause()
"""


def make_build(folder: Path) -> Path:
    """A build folder with both stand-ins; gives its path."""
    install = QemuInstall(
        qemu=_program(folder / "qemu-system-x86_64", QEMU),
        ivshmem_server=_program(folder / "ivshmem-server", SERVER),
        firmware=["/fw/seabios", "/fw/qemu"],
        version="fake",
        key="fake",
    )
    install.save(folder)
    (folder / "initramfs").write_bytes(b"an archive")
    image = GuestImage(
        release="6.1.0-fake",
        kernel="/guest/vmlinuz",
        initramfs=str(folder / "initramfs"),
        vmlinux="/guest/vmlinux",
        modules="/guest/modules",
        key="fake",
    )
    image.save(folder)
    return folder


def _program(path: Path, code: str) -> str:
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -S\n{code}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)
