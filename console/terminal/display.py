"""Shows a change while it runs: a bar on a terminal, elsewhere a plain line when something changes."""

from __future__ import annotations

import re
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from client.follow import Away
from client.sight import Sight
from console.terminal.output import say, stderr_console
from membership.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Seconds between two plain lines that differ only in their figures.
_PLAIN_EVERY = 15.0
# The position of each stage on the bar, in percent. A sync moves through _SYNC_STRETCH from there.
_STAGES = {
    "preflight": 2,
    "turn": 5,
    "add": 10,
    "sync": 15,
    "promote": 90,
    "verify": 95,
    "ended": 100,
    "snapshot": 10,
    "lead": 50,
    "remove": 70,
    "check": 90,
}
_SYNC_STRETCH = 75

_NO_WORKER = "no worker answers: the change goes on as soon as one is up"


class Display:
    """Shows one change while it runs."""

    def __init__(self, title: str) -> None:
        self._title = visible(title)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        #: Stage and reason of the latest plain line.
        self._last: tuple[str, str] = ("", "")
        self._last_at = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            title, text = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[text]}"))
            self._bar = Progress(
                title, BarColumn(), text, TimeElapsedColumn(), console=stderr_console(), transient=True
            )
            self._task = self._bar.add_task(self._title, total=100, text="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, seen: Sight | Away) -> None:
        """Shows the stage of the change, or that Temporal is away."""
        if isinstance(seen, Away):
            self._note(seen.text)
            return
        if seen.view is None and not seen.silent:
            return
        stage = seen.stage or _NO_WORKER
        text = " · ".join(part for part in (stage, seen.waits_for, seen.figures) if part)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=_percent(seen), text=visible(text))
            return
        key = (stage, re.sub(r"\d+", "", seen.waits_for))
        if key != self._last or (seen.figures and time.monotonic() - self._last_at > _PLAIN_EVERY):
            self._last, self._last_at = key, time.monotonic()
            say(f"{self._title}: {text}")

    def _note(self, text: str) -> None:
        if text != self._last[1]:
            self._last = ("", text)
            say(f"{self._title}: {text}")


def _percent(seen: Sight) -> float:
    if seen.view is None:
        return 0.0
    done = _STAGES.get(seen.view.stage, 0)
    if seen.view.stage == "sync" and seen.progress and seen.progress.percent:
        return done + _SYNC_STRETCH * seen.progress.percent / 100
    return done
