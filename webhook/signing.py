"""
The signature of a message, by the Standard Webhooks specification (https://www.standardwebhooks.com).

It covers the message's ID, the time of the attempt and the body. So a receiver can tell a forged, an altered and an old
message apart from ours.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from pathlib import Path

from membership.errors import InvalidConfiguration

_PREFIX = "whsec_"
_LENGTHS = range(24, 65)
# The present and the next secret, and one more for a receiver that is late.
_MOST = 3
_MAKE_ONE = "make one by `echo whsec_$(openssl rand -base64 32)`"


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets of a file, one a line. Raises InvalidConfiguration, which never quotes a line."""
    try:
        lines = path.read_text().split()
    except OSError as error:
        raise InvalidConfiguration(f"notify.secret_file: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"notify.secret_file: {path} is not a text file: {_MAKE_ONE}") from None
    if not 1 <= len(lines) <= _MOST:
        told = f"{path} has {len(lines)} lines, and 1 to {_MOST} secrets are expected"
        raise InvalidConfiguration(f"notify.secret_file: {told}: {_MAKE_ONE}")
    return tuple(_secret(path, number, line) for number, line in enumerate(lines, 1))


def headers(secrets: tuple[bytes, ...], message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The three headers that prove the message. `seconds`: the time of this attempt, since 1970."""
    signed = f"{message_id}.{seconds}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _secret(path: Path, number: int, line: str) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not line.startswith(_PREFIX) or len(secret) not in _LENGTHS:
        told = f"line {number} of {path} is not {_PREFIX} and {_LENGTHS[0]} to {_LENGTHS[-1]} bytes in base64"
        raise InvalidConfiguration(f"notify.secret_file: {told}: {_MAKE_ONE}")
    return secret
