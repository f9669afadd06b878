"""What a process uses, by Linux's own word."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    #: Seconds of a core since the start of the process.
    cpu: float
    megabytes: float
    threads: int
    #: Open files, connections among them.
    files: int


def usage_of(pid: int) -> Usage:
    """Of one process, without its children."""
    folder = Path("/proc") / str(pid)
    # The name of the process, in parentheses, may hold spaces.
    numbers = (folder / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Usage(
        cpu=(int(numbers[11]) + int(numbers[12])) / _TICKS,
        megabytes=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        files=len(list((folder / "fd").iterdir())),
    )
