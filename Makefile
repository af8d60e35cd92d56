# Every target sets up its environment: a clean clone needs only Python 3.11, 3.12 or 3.13 and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export VENV

.DEFAULT_GOAL := help
.PHONY: help demo demo-stream test test-python test-slow chaos fuzz soak bench lint clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(VENV)/runtime  ## four synthetic worlds, four strategies, one table
	$(BIN)/python -m ciao_stream.benchmark --tasks affectnet,fer,jaffe,emoreact

demo-stream: $(VENV)/runtime  ## learn online from a synthetic robot camera whose person and light change midway
	$(BIN)/python -m ciao_stream.stream demo

test: $(VENV)/dev $(VENV)/browser  ## lint, types, import contracts and tests
	$(MAKE) lint
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile --durations 25

test-python:  ## the same in an environment of another Python: make test-python PYTHON=python3.13
	$(MAKE) test VENV=.venv-$(notdir $(PYTHON)) PYTHON=$(PYTHON)

test-slow: $(VENV)/dev $(VENV)/browser  ## the tests that take minutes each
	$(BIN)/python -m pytest -m slow

chaos: $(VENV)/dev  ## kill the streaming learner, its server and its producer at random, for a long time
	$(BIN)/python -m pytest -m chaos

fuzz: $(VENV)/dev  ## send 10,000 damaged and invented messages to the streaming learner
	$(BIN)/python -m pytest -m fuzz -s

soak: $(VENV)/dev  ## 100,000 frames: are memory and speed stable? CIAO_SOAK_CSV=FILE keeps the figures
	$(BIN)/python -m pytest -m soak -s

bench: $(VENV)/dev  ## speed, as ratios within one run
	$(BIN)/python tests/bench.py

lint: $(VENV)/dev  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove the environments and all caches
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

$(VENV)/runtime: pyproject.toml | $(VENV)/made
	sh scripts/install.sh .
	touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/made
	sh scripts/install.sh ".[dev]"
	touch $@ $(VENV)/runtime

$(VENV)/browser: | $(VENV)/dev
	sh scripts/browser.sh
	touch $@

$(VENV)/made:
	sh scripts/make-venv.sh $(PYTHON)
	touch $@
