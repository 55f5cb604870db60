# Needs GNU make, Python 3.11 or newer with its venv module, and a network for the first run.
# PYTHON chooses the interpreter that .venv is made from.

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = python -m pip install --quiet --quiet --disable-pip-version-check --no-input
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
UV_VERSION := 0.13.9

PYTEST_ARGS ?= -n 4 --dist worksteal
DEMO_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench soak lock clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(DEV) ## .venv from the lock files, test dependencies included

demo: $(RUNTIME) ## the bot with a simulated Twilio, on this machine only (PORT=, SIMULATOR_PORT=, DEMO_ARGS=)
	@exec $(BIN)/bot demo $(if $(PORT),--port $(PORT)) $(if $(SIMULATOR_PORT),--simulator-port $(SIMULATOR_PORT)) $(DEMO_ARGS)

test: $(DEV) ## every test, with a real browser and a real PostgreSQL (PYTEST_ARGS=)
	@$(BIN)/python -m tests.support.install
	@$(BIN)/python -m pytest $(PYTEST_ARGS) || { \
		[ $$? -eq 1 ] || exit 1; \
		printf '\nWhat failed beside the others, once more and alone:\n'; \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 3 --verbose; \
	}

lint: $(DEV) ## style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy bot tests $(wildcard bench)
	$(BIN)/lint-imports

format: $(DEV) ## put the code into the common style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV) ## how fast a pause is, beside a naive bot and the floor, and what the log costs (BENCH_ARGS=)
	@$(BIN)/python -m tests.support.install postgresql
	@$(BIN)/python -m bench $(BENCH_ARGS)
	@echo
	@$(BIN)/python -m bench log $(filter --quick,$(BENCH_ARGS))

soak: $(DEV) ## the long runs: hundreds of SIGKILLs under load, then the state machine (SOAK_ARGS=, MACHINE_EXAMPLES=)
	@$(BIN)/python -m tests.support.install postgresql
	@$(BIN)/python -m tests.soak $(SOAK_ARGS)
	MACHINE_EXAMPLES=$(or $(MACHINE_EXAMPLES),200) $(BIN)/python -m pytest -n 2 tests/control/test_machine.py

# The development lock is bound to the versions of the runtime lock, so that one .venv serves both.
COMPILE = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml --extra build

lock: $(VENV)-lock/bin/uv ## both lock files anew from pyproject.toml, every version as new as allowed
	@echo "Resolving versions ..."
	@$(COMPILE) --upgrade --output-file requirements.lock
	@$(COMPILE) --upgrade --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove .venv and caches (the demo's data under instance/ stays)
	rm -rf $(VENV) $(VENV)-lock build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	find bot tests $(wildcard bench) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last: an install that was interrupted is done again, a finished one costs nothing.
$(RUNTIME): requirements.lock pyproject.toml $(VENV)/pip.lock
	@echo "Installing what the bot runs on into $(VENV) ..."
	@$(BIN)/$(PIP_INSTALL) --require-hashes --requirement requirements.lock
	@$(BIN)/$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements.lock requirements-dev.lock pyproject.toml $(VENV)/pip.lock
	@echo "Installing the bot and its test tools into $(VENV) ..."
	@$(BIN)/$(PIP_INSTALL) --require-hashes --requirement requirements-dev.lock
	@$(BIN)/$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(RUNTIME) $@

$(VENV)-lock/bin/uv: | $(BIN)/python
	@echo "Installing the lock tool into $(VENV)-lock ..."
	@$(BIN)/python -m venv $(VENV)-lock
	@$(VENV)-lock/bin/$(PIP_INSTALL) uv==$(UV_VERSION)

# First pip itself, as locked: the one that comes with an older Python takes twice as long.
$(VENV)/pip.lock: requirements.lock | $(BIN)/python
	@sed -n '/^pip==/,/[^\\]$$/p' requirements.lock > $@.new
	@$(BIN)/$(PIP_INSTALL) --require-hashes --requirement $@.new
	@mv $@.new $@

$(BIN)/python:
	@found=; \
	for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		found=$$python; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
		echo "Making $(VENV) with $$("$$python" --version) ..."; \
		exec "$$python" -m venv --clear $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
		echo "$$found has no venv module: install it first (on Debian: apt-get install python3-venv)." >&2; \
	else \
		echo "Python 3.11 or newer is needed and was not found: install it, or say PYTHON=/path/to/python." >&2; \
	fi; \
	exit 1
