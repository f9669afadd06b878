"""What Temporal keeps is encrypted, keys rotate, and a missing key is named."""

from __future__ import annotations

from base64 import b64encode

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from client.encryption import Encryption, data_converter
from client.payload_keys import read_keys
from membership.errors import InvalidConfiguration
from membership.missing_key import MissingKey
from support.parts.key_files import write_key

SECRET = "etcd-4 at https://10.0.0.14:2380"


@pytest.fixture
def keys(tmp_path):
    """Keys by their IDs, the first of which encrypts."""
    return lambda *names: read_keys([_existing(tmp_path, name) for name in names])


def _existing(folder, name):
    path = folder / f"{name}.key"
    return path if path.exists() else write_key(folder, name)


async def test_a_payload_comes_back_and_is_never_the_same(keys):
    """Nothing of it can be read, its length apart, and equal payloads do not look equal."""
    codec = Encryption(keys("2026-11"))
    plain = Payload(metadata={"encoding": b"json/plain"}, data=SECRET.encode())
    one, two = await codec.encode([plain, plain])
    assert SECRET.encode() not in one.SerializeToString()
    assert b"json/plain" not in one.SerializeToString()
    assert one.metadata["encryption-key-id"] == b"2026-11"
    assert one.data != two.data
    assert await codec.decode([one, two]) == [plain, plain]


async def test_a_rotation(keys):
    """The new key writes, the old one still reads; without the old one its payloads name it."""
    old, rotated, new = keys("2025"), keys("2026", "2025"), keys("2026")
    [before] = await data_converter(old).encode([SECRET])
    [after] = await data_converter(rotated).encode([SECRET])
    assert await data_converter(rotated).decode([before, after]) == [SECRET, SECRET]
    assert await data_converter(new).decode([after]) == [SECRET]
    with pytest.raises(MissingKey, match=r"the key '2025', which this process does not have \(it has: 2026\)"):
        await data_converter(new).decode([before])
    with pytest.raises(MissingKey, match=r"the key '2025', which this process does not have \(it has: none\)"):
        await data_converter().decode([before])


async def test_another_key_of_the_same_id(tmp_path, keys):
    """A mix-up of files must not look like a damaged payload, which would end changes."""
    [payload] = await data_converter(keys("prod")).encode([SECRET])
    write_key(tmp_path, "prod")
    with pytest.raises(MissingKey, match="another key of that ID"):
        await data_converter(keys("prod")).decode([payload])


async def test_a_payload_that_was_changed_stays_unreadable(keys):
    """Under its own key: it is no more than what any stranger can send."""
    converter = data_converter(keys("k"))
    [payload] = await converter.encode([SECRET])
    payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    assert await converter.payload_codec.decode([payload]) == [payload]
    payload.data = b""
    assert await converter.payload_codec.decode([payload]) == [payload]


async def test_payloads_from_before_the_first_key(keys):
    """Changes that began without a key, and callers who have none, are read as before."""
    [plain] = await data_converter().encode([SECRET])
    assert await data_converter(keys("k")).decode([plain]) == [SECRET]


def fails_with_a_cause():
    try:
        int(SECRET)
    except ValueError as error:
        raise ApplicationError(SECRET, SECRET, type="NotAllowed") from error


async def test_the_texts_of_failures_are_encrypted(keys):
    """Also those of its causes; the type is Temporal's to show."""
    converter = data_converter(keys("k"))
    failure = Failure()
    with pytest.raises(ApplicationError) as raised:
        fails_with_a_cause()
    await converter.encode_failure(raised.value, failure)
    assert SECRET.encode() not in failure.SerializeToString()
    assert b"test_encryption.py" not in failure.SerializeToString()
    assert failure.application_failure_info.type == "NotAllowed"
    back = await converter.decode_failure(failure)
    assert (back.message, back.details, back.cause.message) == (
        SECRET,
        (SECRET,),
        f"invalid literal for int() with base 10: {SECRET!r}",
    )


async def test_an_activity_without_the_key_says_so_and_may_be_repeated():
    """The SDK would call it nameless, and final where the details of a heartbeat are unreadable."""
    unreadable = ApplicationError("Failed decoding heartbeat details", non_retryable=True)
    unreadable.__cause__ = MissingKey("a payload is encrypted with the key 'x'")
    failure = Failure()
    await data_converter().encode_failure(unreadable, failure)
    told = failure.application_failure_info
    assert (told.type, told.non_retryable, "'x'" in failure.message) == ("MissingKey", False, True)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("k.key", b"", "32 random bytes in base64"),
        ("k.key", b"correct horse battery staple", "32 random bytes in base64"),
        ("k.key", b64encode(b"x" * 16), "32 random bytes in base64"),
        ("-k.key", b64encode(b"x" * 32), "is not a valid name for a key"),
    ],
)
def test_what_is_no_key(tmp_path, name, content, why):
    """The file is named and its content is not shown."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidConfiguration) as refused:
        read_keys([path])
    assert why in str(refused.value)
    assert name in str(refused.value)
    assert not content or content.decode() not in str(refused.value)


def test_key_files_that_cannot_be_used(tmp_path):
    """A missing file, and two files of one ID."""
    with pytest.raises(InvalidConfiguration, match=r"cannot read .*gone\.key"):
        read_keys([tmp_path / "gone.key"])
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidConfiguration, match="two files have the key ID 'k'"):
        read_keys([write_key(tmp_path, "k"), write_key(tmp_path / "other", "k")])


def test_a_key_file_that_others_may_read(tmp_path, caplog):
    """It is used, and warned of by its ID."""
    read_keys([write_key(tmp_path, "k", mode=0o644)])
    [record] = caplog.records
    assert "payload key k: other users may read it" in record.message
