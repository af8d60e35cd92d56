# Every target sets up .venv by itself: a clean clone needs only Python 3.10 or later and a package index.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-stream test test-slow chaos fuzz soak bench lint clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: .venv/runtime  ## four synthetic worlds, every strategy, one table
	$(BIN)/python -m ciao_stream.benchmark --tasks affectnet,fer,jaffe,emoreact

demo-stream: .venv/runtime  ## a synthetic robot camera whose person and light change midway, learned from online
	$(BIN)/python -m ciao_stream.stream demo

test: .venv/dev .venv/browser  ## lint, types and tests
	$(MAKE) lint
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

test-slow: .venv/dev .venv/browser  ## the tests that take minutes each
	$(BIN)/python -m pytest -m slow

chaos: .venv/dev  ## kill the streaming learner, its server and its producer at random, for long
	$(BIN)/python -m pytest -m chaos

fuzz: .venv/dev  ## send the streaming learner 10,000 damaged and made-up messages
	$(BIN)/python -m pytest -m fuzz -s

soak: .venv/dev  ## 100,000 frames: do memory and speed stay as they are? CIAO_SOAK_CSV=FILE keeps the figures
	$(BIN)/python -m pytest -m soak -s

bench: .venv/dev  ## speed, as ratios within one run
	$(BIN)/python tests/bench.py

lint: .venv/dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove the environment and all caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

.venv/runtime: pyproject.toml | .venv/made
	sh scripts/install.sh .
	touch $@

.venv/dev: pyproject.toml | .venv/made
	sh scripts/install.sh ".[dev]"
	touch $@ .venv/runtime

.venv/browser: | .venv/dev
	sh scripts/browser.sh
	touch $@

.venv/made:
	sh scripts/make-venv.sh $(PYTHON)
	touch $@
