# Everything a developer types; `make` or `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo paper1 test test-slow test-gpu reliability check format bench claims tensorboard clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed  ## make the virtual environment and install marlrun into it

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install  ## the main job: Dec-HDRQN on meeting_grid, a few minutes on two cores
	$(BIN)/marlrun algo=dec_hdrqn env=meeting_grid replicas=5 name=demo

paper1: install  ## paper 1's distilled policy from nothing, into outputs/; typed again it goes on; SMALL=1: a minute
	exec env PYTHONPATH=docs $(BIN)/python -m paper1.run $(if $(filter-out 0,$(SMALL)),--small)

test: install  ## the default tests, under ten minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: install  ## the long proofs
	$(BIN)/python -m pytest -m slow

test-gpu: install  ## what needs a CUDA device
	$(BIN)/python -m pytest -m gpu

SEED ?= $(shell date +%s)
reliability: install  ## kills, damage, links, wrong input, drawn from SEED: docs/reliability.md, about half an hour
	PYTHONPATH=tests $(BIN)/python -m reliability --seed $(SEED) --out docs/reliability.md

check: install  ## format, lint, arrows between rooms, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright --project pyproject.toml

format: install  ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## speed, as ratios inside one run: a table and outputs/bench.json
	$(BIN)/python -m benchmarks

claims: install  ## rewrite docs/results/claims.md from claims.json
	$(BIN)/python docs/make_claims.py

tensorboard: install  ## look at all runs
	$(BIN)/tensorboard --logdir outputs

clean:  ## remove the virtual environment and caches; outputs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
