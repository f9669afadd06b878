"""Files with keys for payloads."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path


def write_key(folder: Path, key_id: str, mode: int = 0o600) -> Path:
    """A new key, in a file of this ID."""
    path = folder / f"{key_id}.key"
    path.write_bytes(b64encode(os.urandom(32)) + b"\n")
    path.chmod(mode)
    return path
