# The one door. `make up` and `make test` need Python >= 3.11 and nothing else.
SHELL := /bin/sh
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export UV_PYTHON_PREFERENCE ?= only-system
export UV_PROJECT_ENVIRONMENT ?= .venv
BIN := .venv/bin
LOGLINE := $(BIN)/logline

.PHONY: help setup setup-dev up test test-all test-security nightly check format bench docs clean

help: ## show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.runtime: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --inexact --no-dev
	@touch $@

.venv/.dev: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --all-groups
	@touch $@ .venv/.runtime

setup: .venv/.runtime ## make the virtual environment from the lock file
setup-dev: .venv/.dev ## the same, with the tools for tests and checks

up: setup ## start the node with a live timeline (DEMO=1: with the example house)
	@$(LOGLINE) up $(if $(DEMO),--demo) $(UP)

test: setup-dev ## the whole test suite
	$(BIN)/pytest $(TESTS)

nightly: setup-dev ## the long tests: thousands of crashes
	$(BIN)/pytest -m nightly --timeout=7200 $(TESTS)

test-security: setup-dev ## every attack on the sandbox, with and without its jail
	$(BIN)/pytest -m security $(TESTS)

check: setup-dev ## lint, types, import contracts, documents, then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check
	$(BIN)/pytest $(TESTS)

format: setup-dev ## write the code as ruff likes it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-dev ## measure, next to the peers (BENCH="append timeline ...")
	$(BIN)/python -m benchmarks $(BENCH)

docs: setup-dev ## write the reference pages from the code
	$(BIN)/python -m docs.generate

clean: ## remove what `make` made; data folders stay
	rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
