"""OpenTelemetry: off unless its own variables ask for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from membership.errors import InvalidConfiguration
from settings import read_settings

ROOT = Path(__file__).parents[2]
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def environment(monkeypatch):
    """Sets variables of OpenTelemetry, and no others."""

    def set_variables(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        (COLLECTOR, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**COLLECTOR, "OTEL_SDK_DISABLED": "true"}, False),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_SERVICE_NAME": "etcd"}, False),
    ],
)
def test_the_standard_variables(environment, variables, on):
    """As every other program understands them."""
    environment(variables)
    assert read_settings().traces is on


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: 'zipkin' is not supported"),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'"),
        (
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc'",
        ),
    ],
)
def test_unsupported_values(environment, variables, told):
    """Spans that nobody gets would be noticed when they are needed."""
    environment(variables)
    with pytest.raises(InvalidConfiguration) as refused:
        read_settings()
    assert told in str(refused.value)
    assert "OTEL_TRACES_EXPORTER=none" in str(refused.value)


def test_nothing_is_loaded_while_it_is_off():
    """A command starts as fast as without it."""
    code = "import sys, cli, client.connect, console.join, worker\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [name for name in ran.stdout.split() if name.startswith("opentelemetry")]
