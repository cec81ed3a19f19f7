# SPDX-License-Identifier: MIT
"""Names of tasks as /proc shows them: longer for the kernel's own threads than ``comm`` is.

Kernel ``proc_task_name`` (fs/proc/array.c), ``wq_worker_comm`` (kernel/workqueue.c),
``get_kthread_comm`` (kernel/kthread.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntbdbg.errors import FaultError, KernelError

if TYPE_CHECKING:
    from ntbdbg.kernel.btf.layout import Layout, Record
    from ntbdbg.kernel.image.image import KernelImage

PF_WQ_WORKER = 0x0000_0020
PF_KTHREAD = 0x0020_0000
LONGEST = 63
"""Characters that /proc shows."""


class TaskNames:
    """Names of the tasks of one kernel."""

    def __init__(self, kernel: KernelImage) -> None:
        self._virtual = kernel.virtual
        # 6.11, 2a1b02bcba78 ("workqueue: … make wq_worker_comm() use full ID string"), of which
        # no structure tells.
        self._whole_ids = kernel.info.version >= (6, 11)
        self._kthread = _layout(kernel, "kthread")
        self._worker = _layout(kernel, "worker")

    def of(self, task: Record) -> str:
        """The name of a ``struct task_struct``; its `comm` where no more is known."""
        name, flags = task.text("comm"), task.number("flags")
        if not flags & PF_KTHREAD or self._kthread is None:
            return name
        try:
            kthread = self._kthread.parse(self._virtual, self._private(task))
            if flags & PF_WQ_WORKER:
                whole = self._full_name(name, kthread) if self._whole_ids else name
                return self._worker_name(whole, kthread)
            return self._full_name(name, kthread)
        except (FaultError, KernelError):
            return name

    def _private(self, task: Record) -> int:
        """VA of its ``struct kthread``."""
        # 5.17, e32cf5dfbe22 ("kthread: Generalize pf_io_worker so it can point to struct kthread")
        known = ("worker_private", "set_child_tid")
        return task.number(next(path for path in known if task.has(path)))

    def _full_name(self, name: str, kthread: Record) -> str:
        if not kthread.has("full_name") or not kthread.number("full_name"):
            return name  # 5.17, d6986ce24fc0 ("kthread: dynamically allocate memory to store …")
        raw = self._virtual.read(kthread.number("full_name"), LONGEST)
        return raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")

    def _worker_name(self, name: str, kthread: Record) -> str:
        """``kworker/0:1-events``: what it worked on last; with a plus what it works on."""
        if self._worker is None:
            return name
        worker = self._worker.parse(self._virtual, kthread.number("data"))
        work = worker.text("desc") if worker.number("pool") else ""
        mark = "+" if worker.number("current_work") else "-"
        return f"{name}{mark}{work}"[:LONGEST] if work else name


def _layout(kernel: KernelImage, name: str) -> Layout | None:
    try:
        return kernel.layouts[name]
    except KernelError:
        return None
