# Everything runs in .venv, made on first use from requirements.lock. Needs Python 3.11+ and make.
# uv (itself taken from the lock by pip) installs four times as fast as pip; where it cannot, pip does it all.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.ready
OUT ?= demo-out
PYTEST_ARGS ?= -n 2 --dist worksteal
CODE := schemas models transforms pipelines tests

.DEFAULT_GOAL := help
.PHONY: help setup demo stream-demo stream-down test test-flink test-nightly check lint format types layers unit bench bench-stream lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install what the lock names

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Meterbeam needs Python 3.11 or newer; found $$(python3 --version 2>&1)." \
		"Give one with: make PYTHON=/path/to/python3.12 setup" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) could not make a virtual environment (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Installing what requirements.lock names into $(VENV) (about 1.6 GB, once) …"
	@awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.lock
	@$(PIP) --require-hashes -r $(VENV)/uv.lock && $(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode \
		--require-hashes -r requirements.lock || { echo "uv cannot install here; taking pip"; \
		$(PIP) --require-hashes -r requirements.lock; }
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Simulate a town, backfill it, write demo-out/report.html
	$(BIN)/meterbeam demo --out $(OUT)

stream-demo: $(STAMP) ## Kafka, Flink and the stream on this machine, fed by a simulated town (needs Java 17 and Maven)
	$(BIN)/python -m pipelines.streaming.stream_demo --out stream-$(OUT)

stream-down: ## Stop the stream demo
	@test -f stream-$(OUT)/demo.pid || { echo "no stream demo runs in stream-$(OUT)"; exit 0; }; \
	kill -TERM "$$(cat stream-$(OUT)/demo.pid)"; \
	while kill -0 "$$(cat stream-$(OUT)/demo.pid 2>/dev/null)" 2>/dev/null; do sleep 0.5; done

test: check test-flink ## check, then the tests on a real Flink and Kafka (skipped, with a word on it, without Java)

check: lint types layers unit ## Everything that must pass: style, types, layers, tests

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(STAMP) ## Rewrite the code in the house format
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy --strict

layers: $(STAMP) ## import-linter: who may import whom
	$(BIN)/lint-imports

unit: $(STAMP) ## pytest (PYTEST_ARGS="-k name" to choose)
	$(BIN)/pytest --ignore=tests/flink $(PYTEST_ARGS)

test-flink: $(STAMP) ## The tests on a real Flink cluster and Kafka broker; the first run fetches 600 MB
	$(BIN)/pytest -n 0 -rs tests/flink

test-nightly: $(STAMP) ## The laws under many more random cases (an hour)
	HYPOTHESIS_PROFILE=nightly METERBEAM_WORLDS=200 $(BIN)/pytest $(PYTEST_ARGS) tests/models tests/pipelines/test_backfill_worlds.py

bench: $(STAMP) ## The benchmark table (minutes; not part of the tests; BENCH_ARGS=--huge for 350 million)
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

bench-stream: $(STAMP) ## The stream on a real Kafka and Flink beside two bare jobs (minutes; needs Java 17 and Maven)
	$(BIN)/python -m tests.bench.stream $(BENCH_ARGS)

lock: $(STAMP) ## Renew requirements.lock from pyproject.toml (needs the network)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-annotate --upgrade --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean: ## Remove .venv, caches and what demo and bench wrote
	rm -rf $(VENV) $(OUT) stream-$(OUT) bench-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
