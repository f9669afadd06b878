"""The ETCD_* values of a new member: printed, or written to a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from console.finding import find_change
from console.follow import see
from console.output import DONE, FAILED, USAGE, Leave, print_json
from membership.model import Handover


async def env(cluster: str, name: str, verb: str | None, *, json: bool) -> int:
    """Prints the handover of a change that runs or has succeeded; raises Leave with FAILED for a dead one."""
    client, handle = await find_change(cluster, name, verb, verbs=("join", "replace"))
    seen = await see(client, handle)
    if seen.dead:
        raise Leave(
            FAILED, f"{handle.id} {seen.dead}: its handover is dead", "run the join or replace again for a new one"
        )
    if seen.handover is None:
        told = f"{handle.id} has no handover: its learner is not added yet, or is being removed again"
        raise Leave(FAILED, told, f"`memberflow watch {cluster} {name}` tells which; `--until added` waits for it")
    if json:
        print_json(seen.handover.env())
    else:
        print(_text(seen.handover), end="")
    return DONE


def check_writable(option: str, path: Path) -> None:
    """Raises Leave with USAGE, naming option and path, when no handover could be written there."""
    if not path.parent.is_dir():
        raise Leave(USAGE, f"{option}: no such directory: {path.parent}")
    if path.is_dir():
        raise Leave(USAGE, f"{option}: {path} is a directory")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise Leave(USAGE, f"{option}: {path} can't be written: {error.strerror}") from None


def write_env(path: Path, handover: Handover, cluster: str) -> None:
    """
    Writes the handover at once: a boot script never reads half of it.

    Raises Leave with FAILED when that is not possible any more; the change goes on without the file.
    """
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(_text(handover))
        Path(file.name).chmod(0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise Leave(
            FAILED,
            f"the learner is added, but {path} can't be written: {error.strerror}",
            f"the change goes on; `memberflow env {cluster} {handover.name}` prints the values",
        ) from None


def _text(handover: Handover) -> str:
    return "".join(f"{key}={value}\n" for key, value in handover.env().items())
