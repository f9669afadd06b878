"""The shape of the code base: who may import whom, and why."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from workflows.timeouts import ACT

ROOT = Path(__file__).parents[2]
OURS = {
    *("activities", "cli", "clusters", "console", "etcdapi", "launchers", "local", "logs", "membership", "messages"),
    *("settings", "worker", "workflows"),
}

PURE = {"temporalio", "etcd3", "grpc", "structlog", "typer", "rich", "time", "random", "os"}
# Folder or module: what of ours it may import, and which other packages it must not.
RULES = {
    "membership": (set(), PURE),
    "messages": ({"membership"}, PURE),
    "etcdapi": ({"membership"}, {"temporalio", "structlog"}),
    "launchers": ({"membership", "messages"}, {"temporalio", "etcd3", "grpc"}),
    "activities": ({"membership", "messages"}, {"etcd3", "grpc", "docker"}),
    "workflows": ({"activities", "membership", "messages"}, {"etcd3", "grpc", "structlog", "os", "time", "random"}),
    "clusters.py": ({"launchers", "membership", "messages"}, {"temporalio", "etcd3", "grpc"}),
    "settings.py": ({"membership", "messages"}, {"etcd3", "grpc"}),
    "logs.py": ({"membership"}, {"etcd3", "grpc"}),
    "console": ({"membership", "messages", "settings", "logs"}, {"etcd3", "grpc"}),
    "local": ({"membership", "messages", "settings", "logs", "console"}, {"etcd3", "grpc"}),
    "cli.py": ({"console", "local", "membership", "messages", "settings", "worker"}, {"etcd3", "grpc"}),
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


def test_the_command_line_never_loads_etcd3():
    """Whoever triggers a change needs neither etcd's credentials nor its client."""
    code = (
        "import sys, cli, local.demo, console.setup\n"
        "import console.running, console.steering, console.plans, console.fleet, console.inspection\n"
        "bad = {'etcd3', 'etcdapi.client', 'worker'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


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
