# Every command a developer needs; `make` alone lists them.
.DEFAULT_GOAL := help
PACKAGES := $(notdir $(wildcard packages/pinn-*))

.PHONY: help setup check lint format test alone mutations ptychodus bench demo

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup:  ## the environment with all packages and tools, in .venv
	uv sync

check: lint test  ## what must pass before a commit: lint and test

lint:  ## ruff (rules and format) and the import arrows
	uv run ruff check .
	uv run ruff format --check .
	uv run lint-imports

format:  ## put the code into shape
	uv run ruff check --fix .
	uv run ruff format .

test:  ## all tests, in one environment
	uv run pytest -n auto

alone:  ## each package's tests in an environment that holds only what it declares
	@for package in $(PACKAGES); do echo "== $$package"; \
	uv run --isolated --package $$package --with pytest --with pytest-timeout --with hypothesis pytest packages/$$package || exit 1; done

mutations:  ## whether the tests notice wrong physics: each mutant in a copy of the source (docs/testing.md); an hour
	uv run python -m tests.mutations --jobs 2

# The client is not part of this repository; it lies beside the checkout.
WITH := uv run --locked --isolated --with ptychodus==1.7.0
CLIENT := python ../shared/clients/ptychodus_client.py
SMALL := --epochs 1 --scan 12 --n-filters-scale 1 --cli

ptychodus:  ## stock ptychodus 1.7.0 with each backend: every name, then train, save, open and reconstruct
	$(WITH) --package pinn-torch $(CLIENT) --library torch --surface > /dev/null
	$(WITH) --package pinn-torch $(CLIENT) --library torch $(SMALL) --reload saved > /dev/null
	$(WITH) --package pinn-tf $(CLIENT) --library tf --surface > /dev/null
	$(WITH) --package pinn-tf $(CLIENT) --library tf $(SMALL) --reload saved,bundle,outer > /dev/null

bench:  ## speed and memory, as ratios within one run; leave the machine alone meanwhile
	uv run python -m benchmarks

demo:  ## learn a simulated scan and reconstruct another one, into pinn_demo/
	uv run pinn demo
