"""Shows several joins while they run: a table on a terminal, elsewhere a line when a join reaches its next stage."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from console.terminal.output import say
from console.terminal.tables import Part, Screen, make_table


class JoinsDisplay:
    """Shows the joins of a growth."""

    def __init__(self) -> None:
        self._screen = Screen(sys.stderr) if sys.stderr.isatty() else None
        #: The last shown stage of each member. The note has an empty name.
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._screen:
            self._screen.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._screen:
            self._screen.__exit__(kind, error, tb)

    def show(self, joins: Sequence[tuple[str, str, str]], note: str = "") -> None:
        """Shows member, stage and reason of each join, and a note about all of them."""
        if self._screen:
            table = make_table(["MEMBER", "STAGE", "WAITS FOR"], joins)
            parts: list[Part] = [table, note] if note else [table]
            self._screen.show(parts)
            return
        self._say_news("", note, note)
        for member, stage, waits_for in joins:
            self._say_news(member, stage, f"{member}: {stage}" + (f" · {waits_for}" if waits_for else ""))

    def _say_news(self, key: str, state: str, text: str) -> None:
        if self._shown.get(key, "") != state and text:
            say(text)
        self._shown[key] = state
