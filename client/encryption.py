"""
Encrypts the data that Temporal keeps: every payload, and the messages and stack traces of failures.

Temporal itself has to read names of workflows, activities, signals and failures, workflow IDs, search attributes, and
the reasons of cancels and terminations. These stay plain.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from client.payload_keys import PayloadKey
from client.payloads import SharedConverter
from membership.missing_key import MissingKey

ENCODING = b"binary/encrypted"
_KEY_ID = "encryption-key-id"
_KEY_CHECK = "encryption-key-check"
_NONCE_BYTES = 12


class Encryption(PayloadCodec):
    """Encrypts with the first key, and decrypts with each. Without any key it encrypts nothing."""

    def __init__(self, keys: Sequence[PayloadKey] = ()) -> None:
        self._keys = tuple(keys)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not self._keys:
            return list(payloads)
        return [_encrypted(payload, self._keys[0]) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """
        A plain payload stays as it is: changes may have begun before the first key.

        Raises MissingKey for a payload whose key is not there. A payload that was not made with its key, or was
        changed, stays encrypted. It is then as unreadable as any other payload of a stranger.
        """
        return [self._decrypted(payload) for payload in payloads]

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key = self._key_of(payload)
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(key.cipher.decrypt(nonce, data, key.id.encode()))
        except (InvalidTag, ValueError):
            return payload

    def _key_of(self, payload: Payload) -> PayloadKey:
        wanted = payload.metadata.get(_KEY_ID, b"").decode(errors="replace")
        for key in self._keys:
            if key.id == wanted:
                if key.check.encode() != payload.metadata.get(_KEY_CHECK):
                    raise MissingKey(
                        f"a payload is encrypted with a key {wanted!r}, and this process has another key of that ID"
                    )
                return key
        here = ", ".join(key.id for key in self._keys) or "none"
        raise MissingKey(
            f"a payload is encrypted with the key {wanted!r}, which this process does not have (it has: {here})"
        )


def _encrypted(payload: Payload, key: PayloadKey) -> Payload:
    # Random nonces of 96 bits are safe for four thousand million payloads of one key.
    nonce = os.urandom(_NONCE_BYTES)
    return Payload(
        metadata={"encoding": ENCODING, _KEY_ID: key.id.encode(), _KEY_CHECK: key.check.encode()},
        data=nonce + key.cipher.encrypt(nonce, payload.SerializeToString(), key.id.encode()),
    )


def data_converter(keys: Sequence[PayloadKey] = ()) -> DataConverter:
    """The converter of every client and worker. It encrypts where there are keys."""
    failures = _EncryptedFailures if keys else _PlainFailures
    return DataConverter(
        payload_converter_class=SharedConverter, payload_codec=Encryption(keys), failure_converter_class=failures
    )


class _PlainFailures(DefaultFailureConverter):
    """Says so where an activity could not read its input for lack of a key: another worker may have it."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        super().to_failure(_named(exception), payload_converter, failure)


class _EncryptedFailures(DefaultFailureConverterWithEncodedAttributes):
    """The same, and puts messages and stack traces into payloads."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        super().to_failure(_named(exception), payload_converter, failure)


def _named(exception: BaseException) -> BaseException:
    """
    The error for Temporal. An error that was raised by name is explained by its text, so it has no stack trace.

    The SDK reports an unreadable input as a nameless error, and unreadable heartbeat details as a final error.
    """
    missing = exception.__cause__
    if isinstance(exception, ApplicationError) and isinstance(missing, MissingKey):
        return ApplicationError(str(missing), missing.hint, type=missing.name)
    if isinstance(exception, ApplicationError) and not exception.failure:
        exception.__traceback__ = None
    return exception
