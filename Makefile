.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
export UV_PYTHON_DOWNLOADS := never

.PHONY: help run test bench protos lint types fmt check lock clean

help:          ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

run: $(VENV)/.run        ## set everything up and run the whole system in the foreground
	@exec $(BIN)/tradingbot up $(ARGS)

test: $(VENV)/.dev $(CLIENTS)/.installed       ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

bench: $(VENV)/.dev      ## benchmarks: a table, and bench/results/*.json
	$(BIN)/python -m bench $(ARGS)

protos: $(VENV)/.dev     ## write protos/gen anew from the .proto files
	PATH=$(CURDIR)/$(BIN):$$PATH bash protos/generate.sh

lint: $(VENV)/.dev       ## ruff, Dockerfiles, compose file, stale generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(CURDIR)/$(BIN):$$PATH bash protos/generate.sh --check
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

types: $(VENV)/.dev      ## mypy --strict
	$(BIN)/mypy

fmt: $(VENV)/.dev        ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types        ## lint, types and the fast tests: before each commit
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

lock: $(VENV)/bin/uv     ## resolve the dependencies anew and write the lock files
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --extra all pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  tests/clients/requirements.in -o tests/clients/requirements.lock
	for pair in vault:vault execution:execution strategy:strategy gateway:gateway paper:paper migrate:vault; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    --extra $${pair#*:} -c requirements.lock pyproject.toml -o deploy/locks/$${pair%:*}.lock || exit 1; \
	done

clean:         ## remove the environment (the state folder stays)
	rm -rf $(VENV) $(CLIENTS)

# The environment: `uv` by its own hash-locked file, then everything else by ours. Only a package registry is needed.
$(VENV)/bin/uv: .ci/bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/uv
	@test -e $(VENV)/.dev || $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes .ci/bootstrap.lock requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/uv
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes .ci/bootstrap.lock requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run

# Clients that other people wrote, which tests/clients drives: what they need may differ from what we need.
$(CLIENTS)/.installed: tests/clients/requirements.lock | $(VENV)/bin/uv
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(CLIENTS)
	@$(BIN)/uv pip sync --quiet --python $(CLIENTS)/bin/python --require-hashes $<
	@touch $@
