# SPDX-License-Identifier: MIT
"""How the link is: what is notable of its ports, and where driver and device disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ntbdbg.analysis.verdict import LINK, Severity, Verdict

if TYPE_CHECKING:
    from ntbdbg.analysis.evidence import Scene
    from ntbdbg.analysis.postmortem import LinkStory


def link(scene: Scene) -> Iterator[Verdict]:
    """How it is, then each finding and each disagreement."""
    story = scene.link
    if story is None:
        return
    yield _state(story, [guest.name for guest in scene.guests])
    level = story.level
    for finding in story.findings:
        name = story.names.get(finding.partition, f"partition {finding.partition}")
        severity = Severity.WRONG if finding.wrong else Severity.NOTABLE
        yield Verdict(severity, LINK, f"{level}; {name}: {finding.text}")
    for guest, text in story.disagreements:
        yield Verdict(Severity.WRONG, LINK, f"{level}; {guest}: driver against device: {text}")


def _state(story: LinkStory, asked: Sequence[str]) -> Verdict:
    if story.link is None:
        severity = Severity.UNKNOWN if story.names else Severity.FINE
        return Verdict(severity, LINK, story.problem)
    words = [story.level, *story.good_news]
    unlooked = [name for name in asked if name not in story.compared]
    if unlooked:
        words.append(f"driver and device could not be compared in {' and '.join(unlooked)}")
    severity = Severity.UNKNOWN if unlooked else Severity.FINE
    return Verdict(severity, LINK, "; ".join(words))
