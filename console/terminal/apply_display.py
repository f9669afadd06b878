"""Shows an apply while it runs: a table on a terminal, elsewhere a line when a change reaches its next stage."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from client.follow import Away
from client.sight import Sight
from console.terminal.output import say
from console.terminal.tables import Part, Screen, make_table
from messages.apply import ApplyView

if TYPE_CHECKING:
    from messages.apply import StepView

#: Change, stage or outcome, and the reason for waiting or failing.
Row = tuple[str, str, str]

_NO_WORKER = "no worker answers. The apply goes on as soon as one is up"


class ApplyDisplay:
    """Shows the changes of an apply."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._screen = Screen(sys.stderr) if sys.stderr.isatty() else None
        #: The last plain line of each change, without its figures. The note has an empty name.
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._screen:
            self._screen.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._screen:
            self._screen.__exit__(kind, error, tb)

    def show(self, seen: Sight | Away) -> None:
        """Shows the changes that have ended, the running change and those that are left, or Temporal's absence."""
        if isinstance(seen, Away):
            self._note(seen.text)
            return
        if not isinstance(seen.view, ApplyView):
            if seen.silent:
                self._note(_NO_WORKER)
            return
        done, left = len(seen.view.done), len(seen.view.steps)
        note = f"{self._title}: {done} of {done + left} changes done" if done + left else ""
        note += f", held: {seen.view.held}" if seen.view.held else ""
        note += ", to be held after the running change" if seen.view.hold_asked else ""
        if self._screen:
            table = make_table(["CHANGE", "STAGE", "WAITS FOR"], rows_of(seen))
            parts: list[Part] = [note, table]
            self._screen.show(parts)
            return
        self._note(note)
        for row in rows_of(seen):
            if row[1] != _LEFT:
                self._say_news(row[0], " · ".join(filter(None, row[1:])))

    def _note(self, text: str) -> None:
        if self._screen and text:
            self._screen.show([text])
        elif text:
            self._say_news("", text)

    def _say_news(self, key: str, text: str) -> None:
        state = re.sub(r"\d+", "", text) if key else text
        if self._shown.get(key) != state:
            say(f"{key}: {text}" if key else text)
        self._shown[key] = state


_LEFT = "to do"


def rows_of(seen: Sight) -> list[Row]:
    """A row for each change of the apply, in their order."""
    view = seen.view
    if not isinstance(view, ApplyView):
        return []
    rows = [(_change(outcome.workflow_id), str(outcome.outcome), outcome.reason or "") for outcome in view.done]
    if view.running:
        rows.append(_running(view.running, seen.running))
    return rows + [(step.what, _LEFT, "") for step in view.left]


def _change(workflow_id: str) -> str:
    """Verb and member of a change."""
    return " ".join(workflow_id.split(":")[2:])


def _running(step: StepView, seen: Sight | None) -> Row:
    if seen is None:
        return step.what, "started", ""
    if not seen.is_running:
        return step.what, "ended", ""
    return step.what, seen.stage or "started", seen.figures or seen.waits_for
