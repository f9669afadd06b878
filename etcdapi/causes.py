"""
Finds why a connection fails.

gRPC says little about a failed handshake. So this module asks the same endpoint once more, over plain HTTP with
Python's own TLS, which knows the other side's alert and certificate.
"""

from __future__ import annotations

import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from cryptography import x509

from etcdapi.certificates import common_name, describe, inspect_files, names_of
from etcdapi.connection import reason_of, tls_context
from etcdapi.http import HttpEndpoint
from membership.errors import InvalidConfiguration, MemberflowError
from membership.etcd import Access
from membership.etcd_errors import (
    ConnectionLost,
    DeadlineExceeded,
    EtcdError,
    Hung,
    UnknownEtcdError,
    Unreachable,
    Untrusted,
)

# OpenSSL's numbers for a certificate that fails verification (X509_V_ERR_...).
_EXPIRED = 10
_UNKNOWN_ISSUER = (18, 19, 20, 21)
_OTHER_NAME = (62, 64)

# Seconds that the search for a cause may take, and seconds until the cause is searched for again.
CAUSE_DEADLINE = 1.0
GOOD_FOR = 10.0

# Texts of gRPC that state the cause.
_CLEAR = ("Connection refused", "timed out", "nreachable", "No route", "resolv", "larger than max", "etcdserver: ")

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def find_cause(url: str, access: Access, within: float) -> str:
    """Why this client URL does not work, as the end of a sentence about it. Empty: no cause was found in time."""
    until = time.monotonic() + within
    try:
        return _of_https(url, access, until) if url.startswith("https://") else _of_http(url, until)
    except InvalidConfiguration as error:
        return str(error)


def check_name(url: str, access: Access, within: float) -> None:
    """
    Checks that the certificate of an endpoint names its host. gRPC accepts a host name in the CN, no other client does.

    Raises Untrusted for a certificate that does not name the host. Raises Unreachable or DeadlineExceeded where the
    certificate cannot be seen: the endpoint is not called then, since it could show another one a moment later.
    """
    until = time.monotonic() + within
    endpoint = _endpoint(url, tls_context(access))
    try:
        endpoint.certificate(within)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OTHER_NAME:
            raise Untrusted(_of_certificate(url, access, error, until + within), endpoint=url) from None
        raise _unseen(url, error) from None
    except TimeoutError:
        raise DeadlineExceeded("Deadline Exceeded", endpoint=url) from None
    except OSError as error:
        raise _unseen(url, error) from None
    finally:
        endpoint.close()


def _unseen(url: str, error: OSError) -> Unreachable:
    """In gRPC's words where these are clear, so that the cause is not searched for once more."""
    why = "Connection refused" if isinstance(error, ConnectionRefusedError) else reason_of(error)
    return Unreachable(
        f"the TLS handshake failed: {why}" if isinstance(error, ssl.SSLError) else why, "UNAVAILABLE", url
    )


class Causes:
    """
    The causes for the endpoints of one cluster. Threads may share it.

    A cause is searched for again after GOOD_FOR seconds.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._found: dict[str, tuple[float, str]] = {}

    def explain(self, answers: dict[str, Any], until: float) -> dict[str, MemberflowError]:
        """Those of the answers that are badly explained errors of gRPC, each with its cause."""
        strange = {url: answer for url, answer in answers.items() if _is_strange(answer)}
        if not strange:
            return {}
        within = min(CAUSE_DEADLINE, until - time.monotonic())
        with ThreadPoolExecutor(len(strange)) as pool:
            causes = zip(strange, pool.map(lambda url: self._cause(url, within), strange), strict=True)
        return {url: type(strange[url])(cause, strange[url].code, url) for url, cause in causes if cause}

    def _cause(self, url: str, within: float) -> str:
        found_at, cause = self._found.get(url, (float("-inf"), ""))
        if within > 0 and time.monotonic() - found_at > GOOD_FOR:
            cause = find_cause(url, self._access, within)
            self._found[url] = (time.monotonic(), cause)
        return cause


def _is_strange(answer: object) -> TypeGuard[EtcdError]:
    """Whether a connection failed for a reason that gRPC does not state."""
    if not isinstance(answer, (Unreachable, ConnectionLost, UnknownEtcdError)) or isinstance(answer, Hung):
        return False
    return bool(answer.code) and not any(words in answer.text for words in _CLEAR)


def _of_https(url: str, access: Access, until: float) -> str:
    context = tls_context(access)
    try:
        _get(url, context, "/version", until)
        return _of_peer_port(url, context, until)
    except ssl.SSLCertVerificationError as error:
        return _of_certificate(url, access, error, until)
    except ssl.SSLError as error:
        if error.reason and "ALERT" in error.reason:
            return _of_alert(access, error)
        if error.reason in _NO_TLS or _speaks_http(url, until):
            return "it speaks no TLS: write http:// for it"
        return f"the TLS handshake failed: {reason_of(error)}"
    except ConnectionError:
        # A member that wants a client certificate may close the connection before its alert is read.
        return _of_client(access)
    except (OSError, HTTPException):
        return ""


def _of_http(url: str, until: float) -> str:
    try:
        answer = _get(url, None, "/version", until)
    except (ConnectionError, HTTPException):
        return "it speaks TLS: write https:// for it" if _speaks_tls(url, until) else ""
    except OSError:
        return ""
    if b"HTTPS server" in answer:
        return "it speaks TLS: write https:// for it"
    return _of_peer_port(url, None, until)


def _of_peer_port(url: str, context: ssl.SSLContext | None, until: float) -> str:
    try:
        _get(url, context, "/members", until, needs="X-Etcd-Cluster-ID")
    except (OSError, HTTPException):
        return ""
    return "it is a peer URL: name the client URL of the member, by default at port 2379"


def _of_certificate(url: str, access: Access, error: ssl.SSLCertVerificationError, until: float) -> str:
    shown = _shown_certificate(url, until)
    if shown is None:
        return f"its certificate is refused: {reason_of(error)}"
    if error.verify_code in _OTHER_NAME:
        host, names = urlsplit(url).hostname, names_of(shown)
        if names:
            return f"its certificate is for {', '.join(names)}, and not for {host}"
        return f"its certificate has no subject alternative name, and the CN {common_name(shown)!r} is not accepted"
    if error.verify_code == _EXPIRED:
        return f"its certificate {describe(shown.subject)} expired on {shown.not_valid_after_utc:%Y-%m-%d}"
    if error.verify_code in _UNKNOWN_ISSUER:
        return f"its certificate was issued by {describe(shown.issuer)}, and not by the CA in {access.ca}"
    return f"its certificate is refused: {reason_of(error)}"


def _of_alert(access: Access, error: ssl.SSLError) -> str:
    """The other side refused a part of the handshake, nearly always the client certificate."""
    return _of_client(access) or f"it refuses the client certificate {access.cert}: {reason_of(error)}"


def _of_client(access: Access) -> str:
    if access.cert is None:
        return "it wants a client certificate: set cert and key of this cluster in the clusters file"
    reports = [report for report in inspect_files(access) if report.key in ("cert", "key")]
    wrong = [f"{report.path}: {report.problem}" for report in reports if report.problem]
    wrong = wrong or [f"{report.path}: {text}" for report in reports for text in report.warnings if "issued by" in text]
    return f"it refuses the client certificate: {'; '.join(wrong)}" if wrong else ""


def _endpoint(url: str, context: ssl.SSLContext | None) -> HttpEndpoint:
    parts = urlsplit(url)
    return HttpEndpoint(parts.hostname or "", parts.port or 0, context)


def _get(url: str, context: ssl.SSLContext | None, path: str, until: float, needs: str = "") -> bytes:
    """The body. Raises OSError when the header `needs` is missing."""
    endpoint = _endpoint(url, context)
    try:
        answer = endpoint.get(path, max(0.0, until - time.monotonic()))
    finally:
        endpoint.close()
    if needs and needs not in answer.headers:
        raise OSError(f"no {needs} in the answer")
    return answer.body


def _without_verification() -> ssl.SSLContext:
    """Only for reading a certificate: no data is sent, and no answer is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown_certificate(url: str, until: float) -> x509.Certificate | None:
    endpoint = _endpoint(url, _without_verification())
    try:
        shown = endpoint.certificate(max(0.0, until - time.monotonic()))
        return x509.load_der_x509_certificate(shown) if shown else None
    except (OSError, ValueError):
        return None
    finally:
        endpoint.close()


def _speaks_http(url: str, until: float) -> bool:
    try:
        _get(url, None, "/version", until)
    except (OSError, HTTPException):
        return False
    return True


def _speaks_tls(url: str, until: float) -> bool:
    return _shown_certificate(url, until) is not None
