"""Progress on a terminal: a bar; elsewhere: a plain line when something changes."""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from console.output import say, stderr
from membership.model import SyncProgress
from messages.views import ChangeView, percent_text

# Seconds between two plain lines that differ only in their figures.
_PLAIN_EVERY = 15.0
# How far along each stage is, for the bar; a sync fills its own stretch.
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

_NO_WORKER = "no worker answers; the change goes on as soon as one is up"


class Display:
    """Shows one change while it runs; quiet when told so."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last: tuple[str, str] = ("", "")
        self._last_at = 0.0

    def __enter__(self) -> Self:
        if not self._quiet and stderr.is_terminal:
            title, text = (TextColumn(what, markup=False) for what in ("{task.description}", "{task.fields[text]}"))
            columns = (title, BarColumn(), text)
            self._bar = Progress(*columns, TimeElapsedColumn(), console=stderr, transient=True)
            self._task = self._bar.add_task(self._title, total=100, text="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, view: ChangeView | None, progress: SyncProgress | None, waits_for: str, *, silent: bool) -> None:
        """Shows where the change is; `silent` when no worker has answered for a while."""
        if self._quiet or (view is None and not silent):
            return
        stage = (f"held ({view.held})" if view.held else view.stage) if view else _NO_WORKER
        figures = percent_text(progress) if progress else ""
        text = " · ".join(part for part in (stage, waits_for, figures) if part)
        if self._bar:
            self._bar.update(self._task, completed=_percent(view, progress), text=text)
            return
        key = (stage, re.sub(r"\d+", "", waits_for))
        if key != self._last or (figures and time.monotonic() - self._last_at > _PLAIN_EVERY):
            self._last, self._last_at = key, time.monotonic()
            say(f"{self._title}: {text}")

    def note(self, text: str) -> None:
        """Something about the following itself."""
        if not self._quiet and text != self._last[1]:
            self._last = ("", text)
            say(f"{self._title}: {text}")


def _percent(view: ChangeView | None, progress: SyncProgress | None) -> float:
    if view is None:
        return 0.0
    done = _STAGES.get(view.stage, 0)
    if view.stage == "sync" and progress and progress.percent:
        return done + _SYNC_STRETCH * progress.percent / 100
    return done
