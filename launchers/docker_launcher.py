"""Runs members as containers of a Docker engine, through Docker's SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from typing import Any

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.volumes import Volume

from docker import DockerClient
from launchers import containers
from launchers.config import LauncherConfig
from launchers.engine import LOOK_DEADLINE, connected, told
from launchers.images import has_image, pull
from messages.launching import (
    ENDED,
    LOG_LINES,
    ContainerState,
    GoOn,
    Launch,
    LaunchConflict,
    Launched,
    LaunchFailed,
    always,
    last_lines,
)

# Docker's words for a container that needs no start.
_STARTED = ("running", "paused", "restarting")
# These do not speak against the launch itself: it is refused for now, or another attempt of it was quicker.
_PASSING = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)


class DockerLauncher:
    """`messages.launching.Launcher` on a Docker engine. Threads may share it. It keeps no connection."""

    def __init__(self, config: LauncherConfig) -> None:
        self._config = config

    def check(self, launch: Launch) -> None:
        with connected(self._config) as client:
            container = _container(client, launch)
            if container and not containers.is_namesake(container.labels, launch):
                raise _conflict("container", containers.container_name(launch), container.labels, launch)
            self._require_image(client)

    def start(self, launch: Launch, go_on: GoOn = always) -> Launched:
        with connected(self._config) as client:
            found = _found(client, launch, go_on)
            with self._failures():
                container = _started(found, go_on) if found else self._create(client, launch, go_on)
        return Launched(
            container=containers.container_name(launch),
            container_id=str(container.short_id),
            volume=containers.volume_name(launch),
            engine=self._config.engine,
            created=found is None,
        )

    def state(self, launch: Launch) -> ContainerState | None:
        with connected(self._config, LOOK_DEADLINE) as client:
            container = _own_container(client, launch)
            return _state(container) if container else None

    def stop(self, launch: Launch) -> bool:
        with connected(self._config) as client:
            container = _own_container(client, launch)
            if container:
                with suppress(NotFound):
                    container.remove(v=True, force=True)
            volume = _volume(client, launch)
            if volume and not containers.belongs_to(_labels(volume), launch):
                volume = None
            if volume:
                _remove(volume)
        return bool(container or volume)

    def _create(self, client: DockerClient, launch: Launch, go_on: GoOn) -> Container:
        """Creates and starts a container. After a failure it leaves nothing behind."""
        self._provide_image(client, go_on)
        with ExitStack() as undo:
            has_volume = _has_volume(client, launch)
            go_on(ask=True)
            if not has_volume:
                # Docker makes the volume with the container, and keeps it while another attempt's container uses it.
                undo.callback(_quietly, lambda: client.volumes.get(containers.volume_name(launch)).remove())
            container = client.containers.create(**self._settings(client, launch))
            with _kept(undo):
                go_on()
            undo.callback(_quietly, lambda: container.remove(v=True, force=True))
            container.start()
            undo.pop_all()
        return container

    def _provide_image(self, client: DockerClient, go_on: GoOn) -> None:
        self._require_image(client)
        if self._config.pull == "always" or not has_image(client, self._config.image):
            pull(client, self._config, go_on)

    def _require_image(self, client: DockerClient) -> None:
        if self._config.pull == "never" and not has_image(client, self._config.image):
            never = 'this launcher never pulls one (pull = "never")'
            raise LaunchFailed(f"{self._config.engine} has no image {self._config.image}, and {never}")

    def _settings(self, client: DockerClient, launch: Launch) -> dict[str, Any]:
        settings = containers.settings(self._config, launch)
        if containers.has_aliases(network := self._config.network):
            settings["networking_config"] = {network: client.api.create_endpoint_config(aliases=[launch.name])}
        return settings

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except APIError as error:
            if error.status_code in _PASSING:
                raise
            raise LaunchFailed(f"{self._config.engine}: {told(error)}") from error


@contextmanager
def _kept(undo: ExitStack) -> Iterator[None]:
    """Undoes nothing when the block raises: another attempt may have found the container and started it."""
    try:
        yield
    except BaseException:
        undo.pop_all()
        raise


def _found(client: DockerClient, launch: Launch, go_on: GoOn) -> Container | None:
    """This member's container. None when there is none: then the name is free. An earlier member's is removed first."""
    container = _container(client, launch)
    if container is None or containers.belongs_to(container.labels, launch):
        return container
    if not containers.is_gone(container.labels, launch):
        raise _conflict("container", containers.container_name(launch), container.labels, launch)
    # This attempt may have been frozen. A member that was added meanwhile would look removed to it.
    go_on(ask=True)
    with suppress(NotFound):
        container.remove(force=True)
    return None


def _started(container: Container, go_on: GoOn) -> Container:
    if container.status not in _STARTED:
        go_on(ask=True)
        container.start()
    return container


def _has_volume(client: DockerClient, launch: Launch) -> bool:
    """Whether an earlier attempt made the member's volume."""
    volume = _volume(client, launch)
    if volume and not containers.belongs_to(_labels(volume), launch):
        raise _conflict("volume", containers.volume_name(launch), _labels(volume), launch)
    return volume is not None


def _conflict(kind: str, name: str, labels: Mapping[str, str], launch: Launch) -> LaunchConflict:
    if containers.is_namesake(labels, launch):
        other = labels.get(containers.MEMBER_ID) or "of no known ID"
        known = "a member of the cluster" if other in launch.members else "not known to be removed"
        return LaunchConflict(f"the {kind} {name} belongs to an earlier member {other}, which is {known}")
    if containers.CLUSTER in labels:
        whose = f"member {labels.get(containers.MEMBER)} of cluster {labels[containers.CLUSTER]}"
        if not containers.is_of_cluster(labels, launch):
            whose += (
                f" with the ID {labels.get(containers.CLUSTER_ID) or '(none)'}, not {launch.cluster_id or '(none)'}"
            )
        return LaunchConflict(f"the {kind} {name} belongs to {whose}")
    return LaunchConflict(f"a {kind} {name} exists already, and memberflow did not make it")


def _container(client: DockerClient, launch: Launch) -> Container | None:
    try:
        return client.containers.get(containers.container_name(launch))
    except NotFound:
        return None


def _own_container(client: DockerClient, launch: Launch) -> Container | None:
    container = _container(client, launch)
    return container if container and containers.belongs_to(container.labels, launch) else None


def _volume(client: DockerClient, launch: Launch) -> Volume | None:
    try:
        return client.volumes.get(containers.volume_name(launch))
    except NotFound:
        return None


def _labels(volume: Volume) -> Mapping[str, str]:
    return volume.attrs.get("Labels") or {}


def _quietly(undo: Callable[[], object]) -> None:
    """Ignores errors: `stop` or the next attempt finds any remains by their labels."""
    with suppress(DockerException, OSError):
        undo()


def _remove(volume: Volume) -> None:
    try:
        volume.remove()
    except NotFound:
        return
    except APIError as error:
        if error.status_code == HTTPStatus.CONFLICT:
            raise LaunchConflict(f"the volume {volume.name} is in use by another container") from error
        raise


def _state(container: Container) -> ContainerState:
    state = container.attrs["State"]
    return ContainerState(
        status=str(state["Status"]),
        exit_code=int(state["ExitCode"]) if state["Status"] in ENDED else None,
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        restarts=int(container.attrs.get("RestartCount") or 0),
        log=_log(container),
    )


def _log(container: Container) -> tuple[str, ...]:
    try:
        # Half of the lines of a usage text are blank.
        return last_lines(container.logs(tail=2 * LOG_LINES))
    except APIError as error:
        # Not every logging driver can be read.
        return (f"(no log: {told(error)})",)
