"""A receiver of `[notify]`: it keeps each message that comes, and answers as it is told."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

KEY = b"a secret of thirty-two bytes ..."
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@dataclass(frozen=True)
class Delivery:
    """One request that came."""

    id: str
    body: bytes
    genuine: bool

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


class Inbox:
    """An HTTP server on loopback, behind a path that is as secret as a token."""

    PATH = "/hooks/a-token-in-the-path"

    def __init__(self, port: int = 0) -> None:
        self.came: list[Delivery] = []
        #: The status of the answers.
        self.answers = 204
        self.headers: dict[str, str] = {}
        #: Called before each answer.
        self.before: Callable[[], object] = lambda: None
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                inbox.take(self)

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.PATH}"

    def use_tls(self, context: ssl.SSLContext) -> None:
        """From the next connection on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        given = request.headers
        signed = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
        self.came.append(Delivery(given["webhook-id"], body, f"v1,{wanted}" in given["webhook-signature"].split()))
        self.before()
        request.send_response(self.answers)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()

    def of(self, cluster: str) -> list[Delivery]:
        """The deliveries about the changes of a cluster, in their order."""
        return [delivery for delivery in list(self.came) if delivery.data["cluster"] == cluster]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def secret_file(folder: Path) -> Path:
    """A file with the secret that inboxes know."""
    path = folder / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path
