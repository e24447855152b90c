# Two commands on a fresh machine: `make repro` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help repro test quick-test lint docs docs-serve venv ui lock

help:            ## what can be made
	@grep -E '^[a-z-]+: .*##|^[a-z-]+: *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

repro: venv      ## install what is pinned, run the grid of params.yaml, show the leaderboard
	@$(BIN)/blemish run

test: venv lint  ## install what is pinned, check style and types, run every test
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup

quick-test: venv ## the tests that need no minutes, Ray, browser or real archives
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup \
	  -m "not slow and not ray and not browser and not archives"

lint: venv       ## style, types, and which package imports which
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

docs: venv       ## the site from docs/ into site/; a warning is an error
	@$(BIN)/zensical build --strict --clean

docs-serve: venv ## the site on this machine, made again at each change
	@$(BIN)/zensical serve

ui: venv         ## MLflow's pages on the runs of this workspace
	@$(BIN)/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

venv: .venv/installed  ## the environment, from requirements.lock

# Made anew when the lock changes; the stamp is written last, so an interrupted install is repeated.
.venv/installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing requirements.lock into .venv (about 6 GB with CUDA; minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

lock:            ## pin what is installed now
	@(echo "# Every package at the version that is tested. Made by 'make lock'."; \
	  $(BIN)/python -m pip freeze --all --exclude pip --exclude-editable) > requirements.lock
