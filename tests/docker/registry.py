"""A registry with one image, which it gives away as the test wants."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer():
    """One empty file, under a name that no other registry's has: an engine pulls no layer that it has."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"layer-{id(layer)}"))
    return layer.getvalue()


class Registry:
    """
    `etcd:latest`, of one empty file.

    Its layer is asked for (`asked`) and kept back until `give`; with `spoilt` another one comes in its place.
    """

    def __init__(self):
        layer = _layer()
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}
        self.blobs = {_digest(data): data for data in (json.dumps(config).encode(), layer)}
        parts = [{"mediaType": "", "size": len(data), "digest": digest} for digest, data in self.blobs.items()]
        parts[0]["mediaType"] = "application/vnd.docker.container.image.v1+json"
        parts[1]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar"
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": parts[0], "layers": parts[1:]}
        self.manifest = json.dumps(manifest).encode()
        self.digest = _digest(self.manifest)
        self.layer = parts[1]["digest"]
        self.asked, self.give = Event(), Event()
        self.give.set()
        self.spoilt = False
        self.host = ""

    @property
    def image(self):
        return f"{self.host}/etcd"

    def answer(self, path):
        """The body for a path, and its type."""
        last = path.rsplit("/", 1)[-1]
        if last in ("latest", self.digest):
            return self.manifest, _MANIFEST
        if last == self.layer:
            self.asked.set()
            self.give.wait(60)
            return (bytes(len(self.blobs[last])) if self.spoilt else self.blobs[last]), "application/octet-stream"
        return self.blobs.get(last, b"{}"), "application/octet-stream"


@contextmanager
def serving():
    """A registry on this machine's loopback address, which engines trust without TLS."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body, kind = registry.answer(self.path)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", registry.digest)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  (the server's own naming)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        registry.host = f"127.0.0.1:{server.server_port}"
        yield registry
        registry.give.set()
        server.shutdown()
        thread.join()
