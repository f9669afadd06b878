"""What tests need beside the product: etcd's own tools, of the version that runs, and a word for what is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NoReturn

import pytest

from local.binary import MODULE, _build
from settings import cache_dir

#: A folder for each Go module that is built for the tests.
GO_MODULES = Path(__file__).parent / "go"


def unavailable(why: str) -> NoReturn:
    """Skips the tests that need what is missing; on CI, which is to run them, they fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def pinned() -> str:
    """The version of the server; one place has it."""
    return str(json.loads((MODULE / "version.json").read_text())["version"])


def tool(name: str) -> Path:
    """`etcdctl` or `etcdutl`, built once from its Go module."""
    binary = cache_dir() / f"{name}-{pinned()}"
    if not binary.exists():
        _build(binary, pinned(), GO_MODULES / name, print)
    return binary
