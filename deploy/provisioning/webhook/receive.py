"""Prints how memberflow's changes end. Usage: python receive.py SECRET_FILE [PORT], behind a proxy with TLS."""

import base64
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRETS = [base64.b64decode(line.removeprefix("whsec_")) for line in Path(sys.argv[1]).read_text().split()]
OLDEST = 5 * 60  # seconds: an older message is a repetition
seen: set[str] = set()  # a service keeps these IDs in its database: a message may come twice


def is_genuine(headers, body: bytes) -> bool:
    """Whether the sender has one of the secrets, and sent this body a moment ago."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    ours = ["v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in SECRETS]
    theirs = headers["webhook-signature"].split()
    is_new = abs(time.time() - int(headers["webhook-timestamp"])) < OLDEST
    return is_new and any(hmac.compare_digest(a, b) for a in ours for b in theirs)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            genuine = is_genuine(self.headers, body)
        except (TypeError, ValueError, AttributeError):  # a header is missing or unreadable
            genuine = False
        if genuine and self.headers["webhook-id"] not in seen:
            seen.add(self.headers["webhook-id"])
            change = json.loads(body)["data"]
            print(change["cluster"], change["verb"], change["member"], change["outcome"], change["error"], flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int((sys.argv[2:] or ["8000"])[0])), Receiver).serve_forever()
