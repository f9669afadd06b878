"""The keys with which payloads are encrypted: each is a file, and the file's name is the ID of its key."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import logging
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from membership.errors import InvalidConfiguration
from membership.file_modes import open_to_others

_log = logging.getLogger("memberflow.payload_keys")

VARIABLE = "MEMBERFLOW_PAYLOAD_KEYS"
_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class PayloadKey:
    """One key of AES-256-GCM."""

    #: The file's name without its last suffix.
    id: str
    #: A fingerprint of the key: two keys that have the same ID by mistake are told apart.
    check: str
    cipher: AESGCM


def read_keys(paths: Sequence[Path]) -> tuple[PayloadKey, ...]:
    """
    The keys in these files. The first one encrypts, and all of them decrypt.

    Raises InvalidConfiguration with the file and the expected content. A file that other users may read is warned of.
    """
    keys: dict[str, PayloadKey] = {}
    for path in paths:
        key = _read_key(path)
        if key.id in keys:
            raise InvalidConfiguration(f"{VARIABLE}: two files have the key ID {key.id!r}: give each key its own name")
        keys[key.id] = key
    return tuple(keys.values())


def _read_key(path: Path) -> PayloadKey:
    if not _ID.fullmatch(path.stem):
        raise InvalidConfiguration(
            f"{VARIABLE}: {path.name!r} is not a valid name for a key: "
            "use at most 64 letters, digits, dots, dashes, underscores"
        )
    try:
        text, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise InvalidConfiguration(f"{VARIABLE}: cannot read {path}: {error.strerror}") from None
    try:
        secret = b64decode(text.strip(), validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) != _BYTES:
        raise InvalidConfiguration(
            f"{VARIABLE}: {path} does not hold a key: "
            "it needs 32 random bytes in base64, as from `openssl rand -base64 32`"
        )
    if warning := open_to_others(path, mode):
        _log.warning("payload key %s: %s", path.stem, warning)
    fingerprint = hmac.new(secret, b"memberflow payload key", hashlib.sha256).hexdigest()[:16]
    return PayloadKey(path.stem, fingerprint, AESGCM(secret))
