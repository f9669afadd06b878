"""Looks for images on an engine, and pulls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from docker.errors import NotFound

from docker import DockerClient
from launchers.config import LauncherConfig
from launchers.engine import WORDS
from messages.launching import GoOn, LauncherUnavailable

# Seconds between two calls of `go_on` while an engine says nothing.
ASK_EVERY = 0.25

_HINT = "can the engine's machine reach the image's registry, and has it free space? Its log may tell more"


def has_image(client: DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except NotFound:
        return False
    return True


def pull(client: DockerClient, config: LauncherConfig, go_on: GoOn) -> None:
    """
    Has the engine pull the table's image. Raises LauncherUnavailable, in the engine's words, when it breaks off.

    Calls `go_on` all the time, and lets its errors through. The engine keeps the parts that it already has.
    """
    for line in _lines(client, config.image, go_on):
        # The SDK's own pull ignores this error and takes any image of that name that is there.
        if error := line.get("error"):
            words = " ".join(str(error).split())[:WORDS]
            raise LauncherUnavailable(f"{config.engine} broke off the pull of {config.image}: {words}", _HINT)


def _lines(client: DockerClient, image: str, go_on: GoOn) -> Iterator[Mapping[str, Any]]:
    """The engine's messages. A separate thread reads them: they have no deadline, and may stay out for minutes."""
    said: SimpleQueue[Mapping[str, Any] | Exception | None] = SimpleQueue()
    left = Event()

    def read() -> None:
        try:
            for line in client.api.pull(image, stream=True, decode=True):
                if left.is_set():
                    return
                said.put(line)
            said.put(None)
        except Exception as error:  # noqa: BLE001  (the queue's reader gets it)
            said.put(error)

    Thread(target=read, daemon=True, name="docker-pull").start()
    try:
        while True:
            go_on()
            try:
                line = said.get(timeout=ASK_EVERY)
            except Empty:
                continue
            if line is None:
                return
            if isinstance(line, Exception):
                raise line
            yield line
    finally:
        left.set()
