"""Posts messages to the receiver of a `[notify]` table."""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from membership.errors import InvalidConfiguration
from membership.file_modes import open_to_others
from messages.notices import Message, NotDelivered, NotWanted
from webhook.config import WebhookTable
from webhook.signing import headers, read_secrets


class WebhookReceiver:
    """`messages.notices.Receiver`. It looks at its files for each message, so a renewed secret or CA counts at once."""

    def __init__(self, table: WebhookTable) -> None:
        self._table = table
        self.origin = table.origin

    def problem(self) -> str:
        try:
            read_secrets(self._table.secret_file)
            self._opener()
            return open_to_others(self._table.secret_file, self._table.secret_file.stat().st_mode)
        except (InvalidConfiguration, OSError) as error:
            return str(error)

    def send(self, message: Message) -> None:
        body = json.dumps(message.content, separators=(",", ":")).encode()
        signed = headers(read_secrets(self._table.secret_file), message.id, int(time.time()), body)
        told = {"Content-Type": "application/json", "User-Agent": "memberflow", **signed}
        request = Request(self._table.url, body, told, method="POST")
        try:
            # The body of the answer means nothing, and is not read.
            self._opener().open(request, timeout=self._table.timeout.total_seconds()).close()
        except HTTPError as error:
            error.close()
            raise self._refused(error.code) from None
        except (OSError, HTTPException) as error:
            raise NotDelivered(f"{self.origin} did not take it: {_cause(error)}") from None

    def _refused(self, status: int) -> NotDelivered:
        if status == 410:
            return NotWanted(f"{self.origin} answered 410: it wants no more messages")
        if 300 <= status < 400:
            return NotDelivered(f"{self.origin} answered {status}: redirects are not followed, so write the final URL")
        return NotDelivered(f"{self.origin} answered {status}, and only 2xx counts as taken")

    def _opener(self) -> OpenerDirector:
        ca = self._table.ca
        try:
            context = _context(_authorities(ca))
        except ssl.SSLError:
            raise InvalidConfiguration(f"notify.ca: {ca} has no certificate in PEM format") from None
        except OSError as error:
            raise InvalidConfiguration(f"notify.ca: cannot read {ca}: {error.strerror}") from None
        return build_opener(HTTPSHandler(context=context), _NoRedirects())


@dataclass(frozen=True)
class _Authorities:
    """The CAs that may sign the receiver's certificate."""

    #: None: those of the system.
    file: Path | None
    #: Modification time, size and inode of the file. Empty where the system has no such file.
    version: tuple[int, ...]


@lru_cache(maxsize=8)
def _context(trusted: _Authorities) -> ssl.SSLContext:
    """TLS with these CAs. The system has some 150, and reading them takes as long as a message."""
    return ssl.create_default_context(cafile=str(trusted.file) if trusted.file else None)


def _authorities(ca: Path | None) -> _Authorities:
    file = ca or ssl.get_default_verify_paths().cafile
    if file is None:
        return _Authorities(None, ())
    stat = Path(file).stat()
    return _Authorities(ca, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


class _NoRedirects(HTTPRedirectHandler):
    """Another address than that of the clusters file gets no outcome."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _cause(error: OSError | HTTPException) -> str:
    """The cause in the system's own words, without any text of the receiver."""
    cause: Any = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return f"its name has no address: {cause.strerror}"
    if isinstance(cause, HTTPException):
        return "its answer is not HTTP"
    return getattr(cause, "strerror", None) or type(cause).__name__
