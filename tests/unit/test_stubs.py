"""The committed stubs are what `make stubs` would generate, as etcd's own `verify_genproto` asks of its."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "etcdapi" / "stubs"
MAKEFILE = (ROOT / "Makefile").read_text()


def protos():
    """What the Makefile generates from."""
    found = re.search(r"^STUBS := (.+)$", MAKEFILE, re.MULTILINE)
    assert found, "the Makefile names no STUBS"
    return found[1].split()


def generate(folder):
    """Runs the command of the Makefile's target, with another folder to put the files in."""
    found = re.search(r"^\t.*python (-m grpc_tools\.protoc .*) \$\(STUBS\)$", MAKEFILE, re.MULTILINE)
    assert found, "the Makefile's target `stubs` runs no protoc"
    command = [word.replace("_out=.", f"_out={folder}") for word in shlex.split(found[1])]
    ran = subprocess.run([sys.executable, *command, *protos()], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder / STUBS.relative_to(ROOT)


def generated(folder):
    return {path.name: path.read_text() for path in folder.glob("*_pb2*.py*")}


def test_every_proto_is_generated_from():
    """One that the Makefile forgets would keep its old stubs for ever."""
    assert sorted(protos()) == sorted(str(path.relative_to(ROOT)) for path in STUBS.glob("*.proto"))


def test_the_stubs_are_fresh(tmp_path):
    """None is stale, missing or left over from a .proto file that is gone."""
    committed, fresh = generated(STUBS), generated(generate(tmp_path))
    differ = sorted(name for name in committed.keys() | fresh.keys() if committed.get(name) != fresh.get(name))
    if differ:
        pytest.fail(
            f"these stubs are not what their .proto files and today's grpcio-tools make: {', '.join(differ)}; "
            "run `make stubs` and commit what it writes",
            pytrace=False,
        )
