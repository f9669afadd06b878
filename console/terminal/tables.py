"""Tables without lines. They are readable at 80 columns, and as wide as necessary in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO, TypeAlias

from console.terminal.output import print_line
from membership.text import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

#: A line or a table.
Part: TypeAlias = "str | Table"

# The width in columns of a table that is not on a terminal.
_PIPE = 500
_WHOLE = ("ID", "NAME", "WORKFLOW ID", "RUN ID")


def make_table(columns: Sequence[str], rows: Iterable[Sequence[str]], styles: dict[str, str] | None = None) -> Table:
    """A table. A cell whose text is in `styles` is drawn in that style."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        table.add_row(*(Text(visible(cell), style=(styles or {}).get(cell, "")) for cell in row))
    return table


def print_parts(parts: Iterable[Part]) -> None:
    """Prints lines and tables on stdout."""
    for part in parts:
        if isinstance(part, str):
            print_line(part)
        else:
            _print_table(part)


def _print_table(table: Table) -> None:
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(width=_PIPE, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


class Screen:
    """Shows lines and tables again and again: in place on a terminal, elsewhere one below the other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._stream, highlight=False), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, parts: Sequence[Part]) -> None:
        if self._live is None:
            print_parts([*parts, ""])
            return
        from rich.console import Group
        from rich.text import Text

        drawn = [Text(visible(part)) if isinstance(part, str) else part for part in parts]
        self._live.update(Group(*drawn), refresh=True)
