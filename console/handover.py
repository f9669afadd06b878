"""The ETCD_* values with which a new member is started, as text and as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from client.exit_codes import FAILED, USAGE, CommandError

if TYPE_CHECKING:
    from membership.model import Handover


def as_text(handover: Handover) -> str:
    """A line for each value, in the form that systemd's EnvironmentFile and shells read."""
    return "".join(f"{key}={value}\n" for key, value in handover.env().items())


def check_writable(option: str, path: Path) -> None:
    """Raises CommandError with USAGE, and with option and path, when no handover could be written there."""
    from tempfile import NamedTemporaryFile

    if not path.parent.is_dir():
        raise CommandError(USAGE, f"{option}: no such directory: {path.parent}")
    if path.is_dir():
        raise CommandError(USAGE, f"{option}: {path} is a directory")
    try:
        with NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise CommandError(USAGE, f"{option}: {path} can't be written: {error.strerror}") from None


def write_env(path: Path, handover: Handover, cluster: str) -> None:
    """
    Writes the handover in one step, so that a boot script never reads half of it.

    Raises CommandError with FAILED when the file cannot be written any more. The change goes on without it.
    """
    from tempfile import NamedTemporaryFile

    try:
        with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(as_text(handover))
        Path(file.name).chmod(0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise CommandError(
            FAILED,
            f"the learner is added, but {path} can't be written: {error.strerror}",
            f"the change goes on, and `memberflow env {cluster} {handover.name}` prints the values",
        ) from None
