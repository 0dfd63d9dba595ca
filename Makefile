# Every command a developer needs; `make` alone lists them.
.DEFAULT_GOAL := help
PACKAGES := $(notdir $(wildcard packages/pinn-*))

.PHONY: help setup check lint format test docs dist wheels alone contracts names mutations ptychodus bench demo

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup:  ## the environment with all packages and tools, in .venv
	uv sync --all-groups

check: lint test  ## what must pass before a commit: lint and test

lint:  ## ruff (rules and format), the import arrows and the types
	uv run ruff check .
	uv run ruff format --check .
	uv run --group tensorflow lint-imports
	uv run mypy

format:  ## put the code into shape
	uv run ruff check --fix .
	uv run ruff format .

test:  ## all tests, in one environment
	uv run pytest -n auto

docs:  ## the documentation site in build/site/, its notebooks executed; warnings are errors
	NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs build --strict

dist:  ## the six source archives and wheels, as they are released, in dist/
	uv build --quiet --all-packages --no-sources --clear --out-dir dist

wheels: dist  ## each wheel in an empty environment with what it declares: every module imported
	@for package in $(PACKAGES); do TESTS=0 .ci/alone $$package || exit 1; done

# PACKAGES, PYTHON and RESOLUTION (locked, lowest-direct) choose: `make alone PACKAGES=pinn-data RESOLUTION=lowest-direct`.
export PYTHON RESOLUTION
alone: $(PACKAGES:%=alone-%)  ## the same, and each package's tests there, against the wheel

alone-%: dist
	@echo "== $* alone"
	@.ci/alone $* $(TESTS_ALONE)

ONE = uv run --locked --isolated --package pinn-dispatch --extra $(BACKEND)
CONTRACTS_pytorch := $(addprefix tests/contracts/test_,backend.py scan_to_image.py workflow_functions.py)
CONTRACTS_tensorflow := $(addprefix tests/contracts/test_,backend.py tensorflow_commands.py)

contracts:  ## the tests across packages, in an environment of one backend: BACKEND=pytorch or tensorflow
	$(ONE) python -c "from pinn_dispatch.registry import installed_backends as i; assert list(i()) == ['$(BACKEND)'], i()"
	$(ONE) pytest -n auto $(CONTRACTS_$(BACKEND))

mutations:  ## whether the tests notice wrong physics: each mutant in a copy of the source (docs/testing.md)
	uv run --group tensorflow python -m tests.mutations --jobs 2

# The client is not part of this repository; it lies beside the checkout.
WITH := uv run --locked --isolated --with ptychodus==1.7.0
CLIENT := python ../shared/clients/ptychodus_client.py
SMALL := --epochs 1 --scan 12 --n-filters-scale 1 --cli

names:  ## every name that stock ptychodus 1.7.0 takes from each backend
	$(WITH) --package pinn-torch python tests/ptychodus/every_name.py ptycho_torch
	$(WITH) --package pinn-tf python tests/ptychodus/every_name.py ptycho

ptychodus: ptychodus-torch ptychodus-tf  ## stock ptychodus 1.7.0 with each backend: every name, then train, save, open and reconstruct

RELOAD_torch := saved
RELOAD_tf := saved,bundle,outer
ptychodus-%:
	@test -f $(lastword $(CLIENT)) || { echo "$(lastword $(CLIENT)) is not there: it belongs beside the checkout" >&2; exit 1; }
	$(WITH) --package pinn-$* sh -ec '$(CLIENT) --library $* --surface > /dev/null; \
	  $(CLIENT) --library $* $(SMALL) --reload $(RELOAD_$*) > /dev/null'

bench:  ## speed and memory, as ratios within one run; leave the machine alone meanwhile
	uv run --group tensorflow python -m benchmarks

demo:  ## learn a simulated scan and reconstruct another one, into pinn_demo/
	uv run pinn demo
