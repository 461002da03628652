# make demo   the whole way on this machine: vendors, metrics, rules, Alertmanager, bridge, BigPanda
# make test   everything CI checks
# Both set up what they need: a virtual environment from the lock file, Debian's Prometheus and Alertmanager.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAY ?=

.DEFAULT_GOAL := test
.PHONY: demo test check unit system bench lock programs clean

$(VENV)/ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

programs:
	@tests/system/programs

demo: $(VENV)/ready programs
	$(BIN)/python -m tests.demo $(if $(STAY),--stay)

test: check unit system

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/ready
	$(BIN)/pytest -m "not system" -n 2 --reruns 1

# Real programs on a machine that others use too: what fails is run again, and said so at the end.
system: $(VENV)/ready programs
	$(BIN)/pytest -m system --reruns 2 --reruns-delay 2

bench: $(VENV)/ready programs
	$(BIN)/python -m tests.bench

# Rewrites both lock files (needs uv): hashes, no registry address.
lock:
	uv pip compile --quiet --upgrade --all-extras --generate-hashes --no-emit-find-links --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock
	uv pip compile --quiet --upgrade --all-extras --group dev --generate-hashes --no-emit-find-links --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
