"""The codec server decrypts for callers that it admits, and for no web page beside Temporal's UI."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from threading import Thread

import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads

from client.codec_server import Admission, listen, origin_of
from client.encryption import Encryption, data_converter
from client.exit_codes import CommandError
from client.payload_keys import read_keys
from support.parts.key_files import write_key

SECRET = "etcd-4 at https://10.0.0.14:2380"
UI = "http://localhost:8233"


@contextmanager
def serving(keys, **admission):
    """A server on a free port, for pages of the UI."""
    server = listen("127.0.0.1", 0, Encryption(keys), Admission({UI}, **admission))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url, body=b"{}", method="POST", **headers):
    """Status, text and headers of the answer."""
    request = urllib.request.Request(url, body if method == "POST" else None, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


@pytest.fixture
def keys(tmp_path):
    return read_keys([write_key(tmp_path, "2026-11")])


async def encrypted(keys):
    return json_format.MessageToJson(Payloads(payloads=await data_converter(keys).encode([SECRET]))).encode()


async def test_decode_and_encode(keys):
    """As Temporal's UI and command line ask, also below a path of a namespace."""
    body = await encrypted(keys)
    with serving(keys) as url:
        status, text, headers = ask(f"{url}/decode?preserveStorageRefs=true", body, Origin=UI, X_Namespace="default")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, UI)
        plain = json_format.Parse(text, Payloads())
        assert json.loads(plain.payloads[0].data) == SECRET
        status, back, _ = ask(f"{url}/default/encode", text.encode())
    assert status == 200
    assert SECRET.encode() not in json_format.Parse(back, Payloads()).SerializeToString()


async def test_a_missing_key_is_named(tmp_path, keys):
    """A person must learn which file the server lacks."""
    with serving(read_keys([write_key(tmp_path, "2027")])) as url:
        status, text, _ = ask(f"{url}/decode", await encrypted(keys))
    assert status == 400
    assert "'2026-11'" in text
    assert "it has: 2027" in text


async def test_a_page_of_a_stranger(keys):
    """Any web page may send a request to this machine; it gets nothing decrypted, and no permission to read."""
    body = await encrypted(keys)
    with serving(keys) as url:
        for origin in ("https://evil.example", "null", f"{UI}.evil.example"):
            status, text, headers = ask(f"{url}/decode", body, Origin=origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (403, None), origin
            assert "etcd-4" not in text
            status, _, headers = ask(f"{url}/decode", method="OPTIONS", Origin=origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (403, None), origin
        status, _, headers = ask(f"{url}/decode", method="OPTIONS", Origin=UI)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, UI)


async def test_a_token(keys):
    """It is asked of every caller, and a browser's question before the request has none."""
    body = await encrypted(keys)
    with serving(keys, token="t0ken") as url:
        assert ask(f"{url}/decode", body)[0] == 403
        assert ask(f"{url}/decode", body, Authorization="Bearer other")[0] == 403
        assert ask(f"{url}/decode", body, Authorization="Bearer t0ken")[0] == 200
        assert ask(f"{url}/decode", method="OPTIONS", Origin=UI)[0] == 204


def test_requests_that_are_none(keys):
    """Each has an answer: nothing that a caller sends ends the server."""
    with serving(keys) as url:
        assert ask(f"{url}/decode", b"no json")[0] == 400
        assert ask(f"{url}/decode", b'{"payloads": "etcd-4"}')[0] == 400
        assert ask(f"{url}/decode", b"\xff\xfe")[0] == 400
        assert ask(f"{url}/keys")[0] == 404
        assert ask(f"{url}/decode", b"", Content_Length="999999999999")[0] == 413
        assert ask(f"{url}/decode")[0] == 200


def test_other_machines_need_a_token(keys):
    """An open port would decrypt for the whole network."""
    for host in ("0.0.0.0", "10.0.0.1", "::"):
        with pytest.raises(CommandError, match="can be reached from other machines"):
            listen(host, 0, Encryption(keys), Admission(()))


@pytest.mark.parametrize("url", ["temporal.example", "ftp://temporal.example", "https://", ""])
def test_what_is_no_page(url):
    """An origin that never fits would look like an error of the UI."""
    with pytest.raises(CommandError, match="is not a URL"):
        origin_of(url)
    assert origin_of("https://temporal.example/namespaces/default") == "https://temporal.example"
