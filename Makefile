# `make repro` and `make test` need git and Python 3.11, 3.12 or 3.13, and make the environment if it is missing.
PYTHON ?= $(or $(shell for one in python3.11 python3.12 python3.13; do $$one -c "" 2>/dev/null && echo $$one && break; done),$(error no python3.11, python3.12 or python3.13 that runs; install one, or name it as PYTHON=/path/to/python3.12))
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
BUNDLED := data/raw/sample_catalog data/raw/sample_voice data/voice_download models/sd_mini models/clip_mini models/controlnet_mini models/xtts_mini
READY := $(VENV)/.ready
STUDIO := $(VENV)/.studio
# The order stays as it is, since tests/conftest.py puts slow files first.
TESTS := python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 20 -rs
export PATH := $(BIN):$(PATH)
# Where it is set, each of the hundreds of processes that tests and stages start compiles the code again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

$(READY): requirements.lock
	$(PYTHON) -m venv $(VENV)
	grep -vE "$(if $(TORCH_CPU_INDEX),^(nvidia-|cuda-|triton=),^#)" requirements.lock > $(VENV)/wanted.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/wanted.txt $(addprefix --extra-index-url ,$(TORCH_CPU_INDEX))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(STUDIO): $(READY) requirements-studio.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -r requirements-studio.txt
	touch $@

repro: $(READY) ## reproduce the pipeline: bundled inputs and bases, then every stage that changed
	dvc pull --quiet --remote bundled $(BUNDLED)
	$(MAKE) --no-print-directory --jobs 2 image_failures voice_evaluate
	dvc repro

image_failures voice_evaluate: # one lane up to its last stage; both run side by side, each with one thread
	dvc --wait-for-lock repro $@

test: $(STUDIO) ## run all tests but those of real bases, one file on each core
	$(TESTS) -m "not real_bases and not network"

test-fast: $(STUDIO) ## run the tests that take a second or two and need nothing but a clone
	$(TESTS) -m "not slow and not real_bases and not network"

test-slow: $(STUDIO) ## run the slow tests; with ABSENT=fail, a test that lacks a program or a model fails
	$(TESTS) -m "slow and not real_bases and not network"

test-real-bases: $(READY) ## run both lanes on stand-ins for real bases (tests/real_bases)
	dvc pull --quiet --remote bundled data/raw/sample_catalog data/raw/sample_voice data/voice_download
	dvc repro --quiet models/dvc.yaml:dnsmos
	python -m pytest -m real_bases tests/real_bases

lint: $(STUDIO) ## check style and types
	ruff check . && ruff format --check . && mypy

doctor: $(READY) ## check whether this machine is ready for the pipeline
	likeness doctor

search-image: $(READY) ## search the image lane's params; WORKERS=N, ARGS="-S key=a,b"
	likeness search image --workers $(or $(WORKERS),1) $(ARGS)

search-voice: $(READY) ## search the voice lane's params, with the same options
	likeness search voice --workers $(or $(WORKERS),1) $(ARGS)

studio: $(STUDIO) ## start the studio, an HTTP service; ARGS="--port 8400"
	likeness studio $(ARGS)

bench: $(STUDIO) ## run every benchmark
	for file in benchmarks/*.py; do python $$file || exit 1; done

lock: ## pin all packages again after requirements.txt changed
	$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header requirements.txt -o requirements.lock

prune: $(READY) ## delete results of items and checkpoints that are older than DAYS (default 30)
	likeness prune --days $(or $(DAYS),30)

.PHONY: help repro image_failures voice_evaluate test test-fast test-slow test-real-bases lint doctor search-image search-voice studio bench lock prune
