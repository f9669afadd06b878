"""The shape of the code base: who may import whom, and why."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from console.app import COMMANDS
from workflows.timeouts import ACT

ROOT = Path(__file__).parents[2]
OURS = {
    *("activities", "cli", "client", "cluster_tables", "clusters", "console", "etcdapi", "file_states", "launchers"),
    *("local", "logs", "membership"),
    *(
        "messages",
        "monitoring",
        "nexus_service",
        "settings",
        "temporal_workers",
        "webhook",
        "worker",
        "workflow_code",
        "workflows",
    ),
}

PURE = {"temporalio", "etcd3", "grpc", "structlog", "typer", "rich", "time", "random", "os"}
# Folder or module: what of ours it may import, and which other packages it must not.
RULES = {
    "membership": (set(), PURE),
    "messages": ({"membership"}, PURE),
    "etcdapi": ({"membership"}, {"temporalio", "structlog"}),
    "launchers": ({"membership", "messages"}, {"temporalio", "etcd3", "grpc"}),
    "activities": ({"membership", "messages"}, {"etcd3", "grpc", "docker"}),
    "webhook": ({"membership", "messages"}, {"temporalio", "etcd3", "grpc"}),
    "workflows": ({"activities", "membership", "messages"}, {"etcd3", "grpc", "structlog", "os", "time", "random"}),
    "clusters.py": (
        {"cluster_tables", "file_states", "launchers", "membership", "messages", "webhook"},
        {"temporalio", "etcd3", "grpc"},
    ),
    "cluster_tables.py": ({"launchers", "membership", "messages", "webhook"}, {"temporalio", "etcd3", "grpc"}),
    "file_states.py": ({"cluster_tables", "membership"}, {"temporalio", "etcd3", "grpc"}),
    "settings.py": ({"membership", "messages"}, {"etcd3", "grpc"}),
    "client": ({"membership", "messages", "settings"}, {"etcd3", "grpc", "structlog", "typer", "rich"}),
    "logs.py": ({"membership"}, {"etcd3", "grpc"}),
    "console": ({"client", "local", "membership", "messages", "settings", "worker"}, {"etcd3", "grpc"}),
    "local": ({"client", "membership", "messages", "settings"}, {"etcd3", "grpc", "typer", "rich"}),
    "cli.py": ({"client", "console"}, {"etcd3", "grpc"}),
    "nexus_service.py": ({"client", "membership", "messages"}, {"etcd3", "grpc", "typer", "rich"}),
    "temporal_workers.py": (
        {"activities", "client", "logs", "messages", "settings", "workflow_code", "workflows"},
        {"etcd3", "grpc", "typer", "rich"},
    ),
    "monitoring": (
        {"activities", "client", "clusters", "etcdapi", "membership", "messages"},
        {"etcd3", "grpc", "typer", "rich"},
    ),
    "workflow_code.py": (set(), {"etcd3", "grpc", "typer", "rich", "temporalio"}),
    "worker.py": (OURS - {"cli", "console", "local"}, {"typer", "rich", "grpc"}),
}


def imports(path):
    """Top-level names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def files(name):
    path = ROOT / name
    return [path] if path.is_file() else sorted(p for p in path.rglob("*.py") if "stubs" not in p.parts)


@pytest.mark.parametrize("name", RULES)
def test_imports_point_one_way(name):
    """workflows -> activities -> membership <- etcdapi; only the worker sees all."""
    may, must_not = RULES[name]
    itself = name.removesuffix(".py")
    for path in files(name):
        used = set(imports(path))
        assert not (used & OURS) - may - {itself}, f"{path} imports {(used & OURS) - may}"
        assert not used & must_not, f"{path} imports {used & must_not}"


def test_only_settings_and_children_read_the_environment():
    """One reader of the environment; `local` hands it on to the processes that it starts."""
    for path in ROOT.glob("**/*.py"):
        if {".venv", ".uv", "tests", "local"} & set(path.relative_to(ROOT).parts) or path.name == "settings.py":
            continue
        assert "os.environ" not in path.read_text(), path


def loaded_by(statement):
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def modules(folder):
    """The names of a folder's modules."""
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files(folder) if path.stem != "__init__"]


def test_the_command_line_never_loads_etcd3():
    """A caller needs neither etcd's credentials nor its client."""
    loaded = loaded_by(f"import cli, {', '.join([*modules('client'), *modules('console'), 'local.demo'])}")
    assert not loaded & {"etcd3", "etcdapi.client", "worker"}


def test_the_worker_loads_no_terminal():
    """A worker draws nothing: it starts where rich and typer are missing (structlog loads rich where it can)."""
    loaded = loaded_by("sys.modules.update({'rich': None, 'typer': None})\nimport worker")
    assert not {name.partition(".")[0] for name in loaded} & {"console"}


def test_the_worker_loads_docker_only_for_a_launch():
    """Docker's SDK is a fifth of the imports, and most workers launch nothing."""
    assert not {"docker", "requests"} & loaded_by("import worker")
    assert "docker" in loaded_by(
        "import worker\nfrom launchers.config import LauncherConfig\nworker.docker_launcher(LauncherConfig(image='x'))"
    )


def test_help_loads_no_temporal():
    """Help is there at once: whatever takes long to load is loaded when a command runs."""
    assert not {name.partition(".")[0] for name in loaded_by("import cli")} & {"temporalio", "pydantic", "rich"}


def test_every_command_is_in_the_file_of_its_name():
    """`ls console` tells where `grow` is."""
    for name in COMMANDS:
        assert (ROOT / "console" / f"{name}.py").exists(), name


def test_workflow_modules_import_workflow_code_by_name():
    """`from workflows import x` would slip past the sandbox's pass-through rules."""
    for path in files("workflows"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.module == "workflows"), path


def test_no_circle_of_imports_among_workflows():
    """A change owns its parts, and none of them knows it; `TYPE_CHECKING` would only hide a circle."""
    uses = {path.stem: set(modules_of_workflows(path)) for path in files("workflows")}
    assert uses["change"] > {"cluster", "turn"}, "the imports were not found"
    while free := [name for name, used in uses.items() if not used & set(uses)]:
        for name in free:
            del uses[name]
    assert not uses, f"these import each other: {sorted(uses)}"
    assert not [path for path in files("workflows") if "TYPE_CHECKING" in path.read_text()]


def modules_of_workflows(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflows."):
            yield node.module.split(".")[1]


def test_no_acts_without_the_act_limits():
    """One layer retries: an act has one attempt, whoever schedules it."""
    assert ACT["retry_policy"].maximum_attempts == 1
