# SPDX-License-Identifier: MIT
"""QEMU's monitor (QMP), for callers that wait: one short conversation at a time.

QMP serves one client; a second one that attaches hears nothing until the first leaves. So
every socket has a lock file beside it (``SOCKET.lock``), each step has a time limit, and a
conversation should be brief:

    with Qmp("/run/user/0/ntbdbg/default/qemu1.qmp", who="qemu1") as qmp:
        qmp.execute("query-status")

Shared by the launcher and the toolkit. At import standard library only; the protocol itself
is the `qemu.qmp` library's, loaded by the first connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import time
import types
import typing
from collections.abc import Callable, Coroutine
from pathlib import Path

from ntbdbg.errors import PathLike, QmpError

if typing.TYPE_CHECKING:
    import asyncio

    from qemu.qmp import QMPClient

#: seconds between two looks at a lock that somebody else holds; flock() has no time limit
LOCK_POLL = 0.02

#: seconds that taking leave may take: nothing of interest comes after it
CLOSE_TIMEOUT = 1.0

#: seconds for which the loop runs to take in events that have arrived
EVENT_TURN = 0.005

#: ``struct ucred``: pid, uid, gid
_UCRED = struct.Struct("3i")

#: the uid there of a connection that waits in the queue of a server that takes one at a time
_NOBODY = -1

_T = typing.TypeVar("_T")


class Qmp:
    """A conversation with one QEMU, from ``with`` to its end.

    :param path: UNIX socket of the monitor
    :param timeout: seconds that getting the lock, connecting, and each answer may take
    :param lock: lock file that all users of this socket agree on; default ``PATH.lock``
    :param who: the guest's name, for messages
    :param owner: the user whose QEMU it must be, by default the caller
    :raises QmpError: from every method, saying who, why and what to try
    """

    def __init__(
        self,
        path: PathLike,
        *,
        timeout: float = 5.0,
        lock: Path | None = None,
        who: str = "qemu",
        owner: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.timeout = timeout
        self.lock = lock or Path(self.path + ".lock")
        self.who = who
        self.owner = os.getuid() if owner is None else owner
        self._undo = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: QMPClient | None = None

    def __enter__(self) -> Qmp:
        with contextlib.ExitStack() as undo:
            self._check_owner()
            undo.enter_context(self._locked())
            undo.enter_context(self._own_loop())
            self._client = self._connect()
            undo.callback(self._disconnect)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._undo.close()

    def execute(
        self, command: str, /, *, timeout: float | None = None, **arguments: typing.Any
    ) -> typing.Any:
        """What QEMU returns for `command`; names with dashes go in as ``**{"command-line": …}``.

        :param timeout: seconds for this answer, if not the conversation's own
        """
        from qemu.qmp import ExecuteError

        what = f"answer to {command}"
        try:
            return self._wait(self._qmp().execute(command, arguments or None), what, timeout)
        except ExecuteError as error:
            raise QmpError(f"{self.who}: QEMU refuses {command}: {error}") from error

    def human(self, line: str) -> str:
        """The text that `line` prints in the human monitor; for what QMP has no command."""
        arguments: dict[str, typing.Any] = {"command-line": line}
        return str(self.execute("human-monitor-command", **arguments))

    def wait_event(self, *names: str, timeout: float | None = None) -> dict[str, typing.Any]:
        """The next event called one of `names` since the conversation began; others are dropped.

        :param timeout: seconds, if not the conversation's own
        """
        return self._wait(self._next_event(names), f"event {' or '.join(names)}", timeout)

    def pending_events(self) -> list[dict[str, typing.Any]]:
        """Events that have come since the last call, without waiting for more."""
        import asyncio

        # One turn of the loop reads what the socket has, the next ones put it into the queue.
        self._wait(asyncio.sleep(EVENT_TURN), "events", None)
        return [dict(event) for event in self._qmp().events.clear()]

    # -- inside ------------------------------------------------------------------------

    def _qmp(self) -> QMPClient:
        if self._client is None:
            raise QmpError(f"{self.who}: the conversation with QEMU is over")
        return self._client

    @contextlib.contextmanager
    def _locked(self) -> typing.Iterator[None]:
        """Hold the lock file; waits for it at most `timeout` seconds."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self.lock, flags, 0o600)
        except OSError as error:
            raise self._dead(f"{self.lock}: {error.strerror}") from error
        try:
            limit = time.monotonic() + self.timeout
            while not _try_lock(handle):
                if time.monotonic() >= limit:
                    raise self._busy()
                time.sleep(LOCK_POLL)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _own_loop(self) -> typing.Iterator[None]:
        """An event loop of our own, so that callers with one of theirs are not disturbed."""
        import asyncio

        self._loop = asyncio.new_event_loop()
        try:
            yield
        finally:
            self._loop.close()
            self._loop = None

    def _connect(self) -> QMPClient:
        import logging

        from qemu.qmp import ConnectError, QMPClient

        # The library also logs each error that it raises; without a handler that is stderr.
        logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())
        client = QMPClient(self.who)
        try:
            self._wait(self._greeted(client), "greeting", None)
        except ConnectError as error:
            raise self._dead(_reason(error.exc)) from error
        return client

    async def _greeted(self, client: QMPClient) -> None:
        """Connect, and speak only where the owner's own QEMU listens."""
        import asyncio
        import socket

        server = socket.socket(socket.AF_UNIX)
        try:
            server.setblocking(False)
            await asyncio.get_running_loop().sock_connect(server, self.path)
            peer = server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            self._check_peer(_UCRED.unpack(peer)[1])
            await client.connect(server)
        except BaseException:
            server.close()
            raise

    def _check_peer(self, uid: int) -> None:
        if uid == _NOBODY:
            raise self._busy()
        if uid != self.owner:
            raise self._foreign(f"user {uid} listens there")

    def _check_owner(self) -> None:
        """Before anything is made beside it; a socket that is not there is told of later."""
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(self.path)
            if not stat.S_ISSOCK(status.st_mode):
                raise self._foreign("is no socket")
            if status.st_uid != self.owner:
                raise self._foreign(f"belongs to user {status.st_uid}")

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # QEMU may have hung up first, for `quit` or by dying: then there is no leave to take.
            with contextlib.suppress(QmpError):
                self._wait(client.disconnect(), "farewell", CLOSE_TIMEOUT)

    async def _next_event(self, names: tuple[str, ...]) -> dict[str, typing.Any]:
        """Wait for an event or for the end of the connection, which the queue does not tell."""
        import asyncio

        from qemu.qmp import Runstate

        client = self._qmp()
        while True:
            if client.events.empty() and client.runstate != Runstate.RUNNING:
                raise EOFError
            message = asyncio.ensure_future(client.events.get())
            ended = asyncio.ensure_future(client.runstate_changed())
            try:
                waits: list[asyncio.Future[typing.Any]] = [message, ended]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if message.done() and message.result()["event"] in names:
                    return dict(message.result())
            finally:
                message.cancel()
                ended.cancel()

    def _wait(
        self, work: Coroutine[typing.Any, typing.Any, _T], what: str, timeout: float | None
    ) -> _T:
        """Run `work` to its end; the time limit and every way to lose QEMU become QmpError."""
        import asyncio

        from qemu.qmp import ConnectError, ExecuteError, QMPError

        limit = self.timeout if timeout is None else timeout
        if self._loop is None:
            work.close()
            raise QmpError(f"{self.who}: the conversation with QEMU is over")
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, limit))
        except (ConnectError, ExecuteError):
            raise
        except asyncio.TimeoutError as error:  # noqa: UP041 - the builtin only from 3.11 on
            raise self._late(what, limit) from error
        except (QMPError, OSError, EOFError) as error:
            raise self._dead(_reason(error)) from error

    def _late(self, what: str, limit: float) -> QmpError:
        if what == "greeting":
            return self._busy()
        return QmpError(
            f"{self.who}: no {what} from QEMU within {limit:g} s",
            hint="it may be stopped or overloaded; try again, 'ntbdbg info' shows how it is",
        )

    def _busy(self) -> QmpError:
        return QmpError(
            f"{self.who}: QEMU's monitor {self.path} did not greet within {self.timeout:g} s:"
            " another client holds it, or QEMU is stopped",
            hint="QMP serves one client at a time; end the other one and try again",
        )

    def _foreign(self, why: str) -> QmpError:
        return QmpError(
            f"{self.who}: QEMU's monitor {self.path}: {why}, so nothing is said to it",
            hint="the user whose QEMU it is, or root, may ask it",
        )

    def _dead(self, reason: str) -> QmpError:
        return QmpError(
            f"{self.who}: QEMU's monitor {self.path}: {reason}",
            hint="the guest may have ended: 'ntbdbg info' shows how it is",
        )


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


#: what losing a connection means, by the exception that tells it
_REASONS: dict[type[BaseException], Callable[[BaseException], str]] = {
    FileNotFoundError: lambda error: "no such socket",
    ConnectionRefusedError: lambda error: "nobody listens there any more",
    EOFError: lambda error: "QEMU hung up",
    OSError: lambda error: str(getattr(error, "strerror", None) or error),
}


def _reason(error: BaseException) -> str:
    """The cause in a few words."""
    for kind, words in _REASONS.items():
        if isinstance(error, kind):
            return words(error)
    if type(error).__name__ == "ExecInterruptedError":
        return "QEMU hung up before it answered"
    return f"not understood: {error}".strip()
