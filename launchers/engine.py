"""The connection to a Docker engine, and its failures in words."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager

from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig
from urllib3.exceptions import HTTPError

import docker
from launchers.config import LauncherConfig
from messages.launching import LauncherUnavailable

# Seconds for one answer. A pull has no deadline: its caller may leave at any moment.
ANSWER_DEADLINE = 30
# Seconds for one answer to a look, which has a waiting caller and is repeated.
LOOK_DEADLINE = 5
# Characters of an engine's error that are kept.
WORDS = 500

_TLS_HINT = "check this launcher's ca, cert and key, and that the engine's certificate names the host in `engine`"
_PERMISSION_HINT = "let the worker's user use the engine's socket (group docker), or name another engine"


@contextmanager
def connected(config: LauncherConfig, deadline: int = ANSWER_DEADLINE) -> Iterator[docker.DockerClient]:
    """
    A client for a few calls, each with this deadline in seconds. Certificates are read anew each time.

    Every error of Docker in the block is raised as LauncherUnavailable, with the engine's address and words.
    """
    try:
        _check_files(config)
        _check_socket(config, deadline)
        with closing(_client(config, DEFAULT_DOCKER_API_VERSION, deadline)) as probe:
            version = _api_version(probe)
        with closing(_client(config, version, deadline)) as client:
            yield client
    except APIError as error:
        hint = _TLS_HINT if "HTTPS server" in told(error) else "the engine's own log may tell more"
        raise LauncherUnavailable(f"{config.engine} refuses: {told(error)}", hint) from error
    except (DockerException, OSError, HTTPError) as error:
        root = _root(error)
        reason = getattr(root, "strerror", None) or str(root)
        raise LauncherUnavailable(f"no answer from {config.engine}: {reason}", _hint(root)) from error


def told(error: APIError) -> str:
    """The engine's own words. They are cut, because something else that answers in its place may have too many."""
    return " ".join(str(error.explanation or error).split())[:WORDS]


def _client(config: LauncherConfig, version: str, deadline: int) -> docker.DockerClient:
    tls: TLSConfig | bool = False
    if config.files:
        tls = TLSConfig(client_cert=(str(config.cert), str(config.key)), ca_cert=str(config.ca), verify=True)
    client = docker.DockerClient(base_url=config.engine, version=version, timeout=deadline, tls=tls)
    # Otherwise REQUESTS_CA_BUNDLE would replace `ca`, and a proxy for web pages would replace the engine.
    client.api.trust_env = False
    return client


def _api_version(client: docker.DockerClient) -> str:
    try:
        return str(client.version(api_version=False)["ApiVersion"])
    except (KeyError, json.JSONDecodeError):
        raise DockerException("the answer is not that of a Docker engine") from None


def _check_files(config: LauncherConfig) -> None:
    for key, path in config.files.items():
        try:
            path.open("rb").close()
        except OSError as error:
            raise LauncherUnavailable(f"{key}: cannot read {path}: {error.strerror}", _TLS_HINT) from error


def _check_socket(config: LauncherConfig, deadline: int) -> None:
    # The SDK leaves a socket open when it can't connect it.
    if config.engine.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(deadline)
            probe.connect(config.engine.removeprefix("unix://"))


def _root(error: BaseException) -> BaseException:
    """The error of the operating system or OpenSSL. requests and urllib3 wrap it several times."""
    while getattr(error, "errno", None) is None:
        wrapped = next((e for e in (*error.args, error.__cause__) if isinstance(e, BaseException)), None)
        if wrapped is None:
            break
        error = wrapped
    return error


def _hint(root: BaseException) -> str:
    if isinstance(root, ssl.SSLError):
        return _TLS_HINT
    return _PERMISSION_HINT if isinstance(root, PermissionError) else ""
