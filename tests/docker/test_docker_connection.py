"""The way to a Docker engine: not there, not for us, something else, TLS right and wrong."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import trustme

from launchers.config import LauncherConfig
from launchers.docker_launcher import DockerLauncher
from local.processes import free_port
from messages.launching import LauncherUnavailable, LaunchFailed
from support.parts.docker_engine import launcher


def every_call(docker, launch):
    """Each of a launcher's methods ends the same way without an engine."""
    errors = []
    for call in (docker.start, docker.state, docker.stop):
        with pytest.raises(LauncherUnavailable) as caught:
            call(launch)
        errors.append(caught.value)
    assert len({str(e) for e in errors}) == 1
    return errors[0]


class Other(http.server.BaseHTTPRequestHandler):
    """Something that speaks HTTP, as anything at a mistyped port may."""

    status, body = 200, b""

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


@pytest.fixture
def other_server():
    """Its port is open, and no engine's."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Other,), {})) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"{}", "not that of a Docker engine"),
        (200, b"<html>", "not that of a Docker engine"),
        (403, b'{"message": "not for you"}', "refuses: not for you"),
        (500, b"<html>" + b"sorry " * 1000, "refuses: <html>sorry"),
    ],
)
def test_something_else_answers(config, launch, other_server, status, body, told):
    """It is not taken for an engine, and what it says is kept short."""
    other_server.RequestHandlerClass.status, other_server.RequestHandlerClass.body = status, body
    address = f"tcp://127.0.0.1:{other_server.server_port}"
    error = every_call(launcher(config, engine=address), launch)
    assert address in str(error)
    assert told in str(error)
    assert len(str(error)) < 600


def test_an_engine_that_is_not_there(config, launch, tmp_path):
    """No socket, nobody listening: the address, the reason, what to look at."""
    for address, told in (
        (f"unix://{tmp_path}/docker.sock", "No such file or directory"),
        (f"tcp://127.0.0.1:{free_port()}", "Connection refused"),
    ):
        error = every_call(launcher(config, engine=address), launch)
        assert address in str(error)
        assert told in str(error)
        assert "running" in error.hint


def test_an_error_in_hand_is_no_reason(config, launch, tmp_path):
    """A launcher that is asked to stop while another failure is handled tells its own."""
    docker = launcher(config, engine=f"tcp://127.0.0.1:{free_port()}")
    try:
        (tmp_path / "nowhere").read_text()
    except OSError:
        with pytest.raises(LauncherUnavailable, match="Connection refused"):
            docker.stop(launch)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_socket_that_is_not_for_us(tmp_path):
    """As for a worker whose user isn't in the group docker."""
    code = (
        "import os, socket, sys; sys.path[:0] = sys.argv[1:2]\n"
        "from launchers.engine import connected\n"
        "from launchers.config import LauncherConfig\n"
        "from messages.launching import LauncherUnavailable\n"
        "own = socket.socket(socket.AF_UNIX); own.bind('docker.sock'); own.listen(); os.chmod('docker.sock', 0o600)\n"
        "os.seteuid(65534)\n"
        "try:\n"
        "    with connected(LauncherConfig(engine=f'unix://{os.getcwd()}/docker.sock', image='x')): pass\n"
        "except LauncherUnavailable as error: print(error, error.hint)\n"
    )
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", code, str(Path(__file__).parents[2])]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert "Permission denied" in ran.stdout, ran.stderr
    assert "group docker" in ran.stdout


@pytest.fixture
def safe(own_engine):
    """A table for an engine that wants client certificates."""
    files = {"ca": "ca.crt", "cert": "client.crt", "key": "client.key"}
    table = LauncherConfig(engine=own_engine.tls_address, image="memberflow-test-nowhere", pull="never", **files)
    return table.relative_to(own_engine.folder)


def test_tls_with_a_client_certificate(safe, launch, monkeypatch):
    """And with nothing that the environment says of web pages' authorities and proxies."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    docker = DockerLauncher(safe)
    assert docker.state(launch) is None
    assert not docker.stop(launch)
    with pytest.raises(LaunchFailed, match="no image"):
        docker.start(launch)


@pytest.mark.parametrize("wrong", ["no certificate", "another CA", "a stranger's certificate", "host", "key", "file"])
def test_wrong_tls_is_unavailable(safe, launch, tmp_path, wrong):
    """Never a hang, a hint at the three files, and nothing of a key in the text."""
    stranger = trustme.CA()
    issued = stranger.issue_cert("127.0.0.1")
    stranger.cert_pem.write_to_path(tmp_path / "ca.crt")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "own.crt")
    issued.private_key_pem.write_to_path(tmp_path / "own.key")
    changes = {
        "no certificate": {"ca": None, "cert": None, "key": None},
        "another CA": {"ca": tmp_path / "ca.crt"},
        "a stranger's certificate": {"cert": tmp_path / "own.crt", "key": tmp_path / "own.key"},
        "host": {"engine": safe.engine.replace("127.0.0.1", "localhost")},
        "key": {"key": tmp_path / "own.key"},
        "file": {"cert": tmp_path / "nowhere.crt"},
    }
    error = every_call(launcher(safe, **changes[wrong]), launch)
    assert "ca, cert and key" in error.hint
    assert "PRIVATE KEY" not in str(error)
