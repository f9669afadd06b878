"""Who may use a file, by its mode."""

from __future__ import annotations

import stat
from pathlib import Path


def open_to_others(path: Path, mode: int) -> str:
    """A warning for a secret file that users outside its owner and group may read, or that others may change."""
    bits = stat.S_IMODE(mode)
    may = [word for mask, word in ((stat.S_IROTH, "read"), (stat.S_IWOTH | stat.S_IWGRP, "change")) if bits & mask]
    return f"other users may {' and '.join(may)} it (mode {bits:04o}): chmod 600 {path}" if may else ""
