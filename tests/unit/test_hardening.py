"""The files in deploy/ give a worker no more rights than it needs. They are read, not run."""

from __future__ import annotations

import re
import tomllib
from configparser import ConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
TOOLS = (DEPLOY / "uv.txt", DEPLOY / "shiv.txt", ROOT / "local" / "etcd" / "go.txt")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = {entry["kind"]: entry for entry in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
DEPLOYMENT = KUBERNETES["Deployment"]
POD = DEPLOYMENT["spec"]["template"]
LABELS = POD["metadata"]["labels"]


def service():
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "memberflow.service")
    return parser["Service"]


# ---- systemd ----


def test_the_unit_gives_the_worker_no_rights():
    """No capability, no new privilege, a read-only system, no home, calls of the native architecture alone."""
    unit = service()
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["ProtectSystem"] == "strict"
    assert unit["SystemCallFilter"] == "@system-service"
    assert unit["SystemCallArchitectures"] == "native"
    yes = {key for key, value in unit.items() if value == "yes"}
    assert yes >= {
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateTmp",
        "ProtectHome",
        "ProtectKernelLogs",
        "RestrictRealtime",
    }


def test_the_unit_hides_temporals_key_from_other_programs_of_its_user():
    """systemd reads the file as root and shows it to this unit alone; the worker finds it by its variable."""
    unit = service()
    name, path = unit["LoadCredential"].split(":")
    assert f"TEMPORAL_CONFIG_FILE=%d/{name}" in unit["Environment"]
    assert Path(path).parent == Path("/etc/memberflow")


def test_the_unit_lets_a_worker_open_many_files():
    """The usual 1024 are gone with some 250 clusters."""
    assert int(service()["LimitNOFILE"]) >= 65536


# ---- Kubernetes ----


def test_a_drain_leaves_a_worker():
    """The budget covers the deployment's pods and keeps one of its replicas."""
    budget = KUBERNETES["PodDisruptionBudget"]["spec"]
    assert budget["selector"]["matchLabels"].items() <= LABELS.items()
    assert 1 <= budget["minAvailable"] < DEPLOYMENT["spec"]["replicas"]


def test_the_workers_are_spread_over_machines():
    """The constraint counts the deployment's own pods."""
    (spread,) = POD["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"]["matchLabels"].items() <= LABELS.items()


def test_only_prometheus_connects_to_a_worker():
    """The policy covers the deployment's pods, and lets one namespace reach the port of the metrics."""
    policy = KUBERNETES["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= LABELS.items()
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    (container,) = POD["spec"]["containers"]
    assert rule["ports"] == [{"port": container["ports"][0]["containerPort"], "protocol": "TCP"}]


def test_a_worker_reaches_etcd_temporal_and_the_name_service_alone():
    """The endpoints of the clusters file are within the policy's addresses and ports; the ports are few."""
    rules = KUBERNETES["NetworkPolicy"]["spec"]["egress"]
    ports = {port["port"] for rule in rules for port in rule["ports"]}
    assert ports == {53, 2379, 2380, 7233}
    clusters = tomllib.loads(KUBERNETES["ConfigMap"]["data"]["clusters.toml"])["clusters"]
    (block,) = [to["ipBlock"]["cidr"] for rule in rules for to in rule.get("to", []) if "ipBlock" in to]
    for url in (urlsplit(endpoint) for cluster in clusters.values() for endpoint in cluster["endpoints"]):
        assert ip_address(url.hostname) in ip_network(block)
        assert url.port in ports


def test_the_container_has_no_rights():
    """Not root, no capability, a read-only file system, no token of Kubernetes, the default filter of calls."""
    (container,) = POD["spec"]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    assert POD["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["spec"]["automountServiceAccountToken"] is False
    assert container["resources"]["limits"]["memory"]


# ---- images ----


def test_no_image_is_the_latest_one():
    """Every image has a version or a digest: what was tested is what is run."""
    built = {"memberflow"}
    images = {service["image"] for service in COMPOSE["services"].values()} - built
    images |= {container["image"] for container in POD["spec"]["containers"]}
    images |= set(re.findall(r"^ARG BASE=(\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert images
    for image in images:
        assert re.search(r"@sha256:[0-9a-f]{64}$|:v?\d+(\.\d+)+(-\w+)?$", image), image


# ---- dependencies ----


def test_no_dependency_is_younger_than_a_week_when_it_is_locked():
    """A release that an attacker made is usually found by then; `uv lock` takes the rule from pyproject.toml."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["exclude-newer"] == "7 days"
    assert LOCK["options"]["exclude-newer-span"] == "P7D"


def test_everything_that_is_installed_has_a_hash():
    """The dependencies in the lock, and the tools that install, build and pack."""
    others = [package for package in LOCK["package"] if "registry" in package["source"]]
    assert others
    for package in others:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
    for tool in TOOLS:
        lines = tool.read_text().replace("\\\n", " ").splitlines()
        pinned = [line for line in lines if line and not line.startswith("#")]
        assert pinned, tool
        assert all(re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in pinned), tool


def images():
    """Every image of others that a file in deploy/ names."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    default = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.MULTILINE))
    for name in re.findall(r"^FROM (\S+)|--from=(\S+)", dockerfile, re.MULTILINE):
        image = "".join(name)
        yield re.sub(r"\$\{(\w+)\}", lambda found: default[found[1]], image)
    for path in [*DEPLOY.rglob("*.y*ml"), *DEPLOY.rglob("*.tf")]:
        yield from re.findall(r"^\s*-?\s*image\s*[:=]\s*\"?([^\s\"]+)", path.read_text(), re.MULTILINE)


def test_every_image_of_others_is_pinned_by_digest():
    """A tag can be moved to another image at any time. Our own image has no digest before it is built."""
    named = [image for image in images() if image != "build" and not re.fullmatch(r"memberflow(:[\d.]+)?", image)]
    assert len(named) >= 4
    for image in named:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image
