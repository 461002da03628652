# make demo   the whole way on this machine: vendors, metrics, rules, Alertmanager, bridge, BigPanda
# make quick  in about a minute: lint, types, and the unit tests of both programs that are not slow
# make test   everything CI checks
# All set up what they need: a virtual environment from the lock file, Debian's Prometheus and Alertmanager.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# tests/conftest.py says in which order, and what stays together.
PYTEST := $(BIN)/pytest --dist loadgroup --no-loadscope-reorder
STAY ?=
# Every program that a test starts would compile itself again where the shell says not to keep what is compiled.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := test
.PHONY: demo quick test check compiled unit system bench lock programs clean

$(VENV)/ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

programs:
	@tests/system/programs

demo: $(VENV)/ready programs
	$(BIN)/python -m tests.demo $(if $(STAY),--stay)

quick: check
	$(PYTEST) -n 2 -m "not system and not slow" tests/exporter tests/bridge tests/toolkit tests/test_house.py

# Real programs mostly wait: six at a time keep two cores busy.
test: programs
	@$(MAKE) --no-print-directory -j 2 check compiled
	$(PYTEST) -n 6

# The tests as pytest compiles them, once: six workers that find none would each do it, at the same time.
compiled: $(VENV)/ready
	@$(BIN)/pytest --collect-only -q >/dev/null

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/ready
	$(PYTEST) -n 2 -m "not system"

system: $(VENV)/ready programs
	$(PYTEST) -n 4 -m system

bench: $(VENV)/ready programs
	$(BIN)/python -m tests.bench

# Rewrites both lock files (needs uv), for every machine: hashes, no registry address. Then `python -m tests.deploy.wheels`.
lock:
	uv pip compile --quiet --universal --upgrade --all-extras --generate-hashes --no-emit-find-links --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --upgrade --all-extras --group dev --generate-hashes --no-emit-find-links --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
