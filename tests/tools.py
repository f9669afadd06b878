"""etcd's own tools, for the tests, of the version that they run."""

from __future__ import annotations

import json
from pathlib import Path

from local.binary import MODULE, _build
from settings import cache_dir

TOOLS = Path(__file__).parent


def pinned() -> str:
    """The version of the server; one place has it."""
    return str(json.loads((MODULE / "version.json").read_text())["version"])


def tool(name: str) -> Path:
    """`etcdctl` or `etcdutl`, built once from its Go module."""
    binary = cache_dir() / f"{name}-{pinned()}"
    if not binary.exists():
        _build(binary, pinned(), TOOLS / name, print)
    return binary
