# SPDX-License-Identifier: MIT
"""One commit as a patch file, and back.

Patches must mean the same on every QEMU they apply to, and look the same whenever they are made:
no blob hashes, no version of git, one line of context (more of it differs between releases).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run.base.errors import RunError
from run.devenv.git import Git, identity

#: lines around a change; QEMU 10.0 and 10.2 agree on the nearest one of each place, not on three
CONTEXT = 1

#: how a diff is made, whatever the repository's own configuration says
DIFF = (
    f"-U{CONTEXT}",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--diff-algorithm=myers",
    "--no-indent-heuristic",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)

#: what Yocto wants every patch to say, in words that it knows
STATUS = "Upstream-Status: Inappropriate [enable feature]"

_SLUG = 52

#: lines that end a message when a patch is read back
_ENDS = re.compile(r"^(---$|--- |diff -|Index: )", re.MULTILINE)


@dataclass(frozen=True)
class Patch:
    """A patch file."""

    name: str
    text: str

    @property
    def subject(self) -> str:
        match = re.search(r"^Subject: (.*(?:\n .*)*)", self.text, re.MULTILINE)
        return match[1].replace("\n", "") if match else self.name

    def means(self, other: Patch) -> bool:
        """Whether both say and do the same, apart from line numbers."""
        return self.name == other.name and _essence(self.text) == _essence(other.text)


def from_commit(git: Git, commit: str, number: int) -> Patch:
    """The patch that `commit` makes; its name is the number and the subject.

    :raises RunError: a patch cannot carry what it changes or says
    """
    _check(git, commit)
    text = git(
        *("format-patch", "--stdout", "-1", "-k", "--zero-commit", "--no-signature", "--no-stat"),
        *("--no-encode-email-headers", "--no-numbered", "--no-thread", *DIFF, commit),
    )
    message, mark, diff = text.partition("\ndiff --git ")
    if not re.search(r"^Upstream-Status:", message, re.MULTILINE):
        message = f"{message.rstrip()}\n\n{STATUS}\n"
    diff = re.sub(r"^index [0-9a-f]+\.\.[0-9a-f]+.*\n", "", diff, flags=re.MULTILINE)
    diff = without_headings(diff)
    slug = git("log", "-1", "--format=%f", commit).strip()[:_SLUG].rstrip("-.")
    body = f"{message.rstrip()}\n---\n{mark[1:]}{diff}".rstrip("\n") + "\n"
    return Patch(f"{number:04}-{slug}.patch", body)


def to_commit(git: Git, patch: Patch, parent: str) -> str:
    """A commit of `patch` on top of `parent`; gives its name, touches no file of the tree.

    :raises RunError: it does not apply there, at every line and word
    """
    with tempfile.TemporaryDirectory(prefix="ntbdbg-am-") as scratch:
        message, diff = Path(scratch) / "message", Path(scratch) / "diff"
        info = git("mailinfo", "-k", message, diff, stdin=patch.text)
        fields = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
        mine = Git(git.tree, index=Path(scratch) / "index")
        mine("read-tree", parent)
        try:
            mine("apply", "--cached", "--whitespace=nowarn", diff)
        except RunError as error:
            raise RunError(f"{patch.name} does not apply: {_short(error.message)}") from None
        text = f"{fields['Subject']}\n\n{message.read_text(encoding='utf-8')}".rstrip() + "\n"
        who = identity(f"{fields['Author']} <{fields['Email']}>", fields["Date"])
        tree = mine("write-tree").strip()
        return mine("commit-tree", tree, "-p", parent, stdin=text, env=who).strip()


def without_headings(diff: str) -> str:
    """A diff whose hunks do not say in which function they are: git guesses that from the tree."""
    return re.sub(r"^(@@ -\S+ \+\S+ @@).*$", r"\1", diff, flags=re.MULTILINE)


def read(path: Path) -> str:
    """A patch's text, whatever bytes it consists of: they come back by `write`."""
    return path.read_bytes().decode(errors="surrogateescape")


def write(path: Path, text: str) -> None:
    """Write it, so that whoever looks meanwhile sees the old text or the new one."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(text.encode(errors="surrogateescape"))
    scratch.replace(path)


def _check(git: Git, commit: str) -> None:
    subject = git("log", "-1", "--format=%h %s", commit).strip()
    entries = git.names("diff-tree", "-r", "-z", "--no-renames", "--raw", f"{commit}^", commit)
    if not entries:
        raise RunError(f"commit {subject} changes nothing", hint="git rebase --onto drops it")
    for meta, name in zip(entries[::2], entries[1::2], strict=True):
        mode = meta.split()[1]
        if mode not in ("100644", "100755", "000000"):
            raise RunError(f"commit {subject}: {name} is no plain file, a patch cannot carry it")
    for line in git.lines("diff-tree", "-r", "--numstat", "--no-renames", f"{commit}^", commit):
        if line.startswith("-\t"):
            name = line.split("\t")[2]
            raise RunError(f"commit {subject}: {name} is binary, a patch cannot carry it")
    if _ENDS.search(git("log", "-1", "--format=%B", commit)):
        raise RunError(
            f"commit {subject}: a line of its message looks like the start of a patch",
            hint="reword it: git commit --amend, or git rebase -i",
        )


def _essence(text: str) -> str:
    """A patch without what depends on the tree it was made from."""
    text = re.sub(r"^@@ -\S+ \+\S+ @@.*$", "@@", text, flags=re.MULTILINE)
    return re.sub(r"^index .*\n", "", text, flags=re.MULTILINE)


def _short(words: str) -> str:
    found = re.findall(r"^(?:.*: )?error: (.*)$", words, re.MULTILINE)
    return "; ".join(found) if found else words
