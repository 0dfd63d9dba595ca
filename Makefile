# Every command a developer needs; `make` alone lists them.
.DEFAULT_GOAL := help
PACKAGES := $(notdir $(wildcard packages/pinn-*))

.PHONY: help setup check lint format test alone bench demo

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

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
	uv run pytest

alone:  ## each package's tests in an environment that holds only what it declares
	@for package in $(PACKAGES); do echo "== $$package"; \
	uv run --isolated --package $$package --with pytest --with pytest-timeout --with hypothesis pytest packages/$$package || exit 1; done

bench:  ## speed and memory, as ratios within one run; leave the machine alone meanwhile
	uv run python -m benchmarks

demo:  ## learn a simulated scan and reconstruct another one, into pinn_demo/
	uv run pinn demo
