# `make repro` and `make test` need Python 3.11, 3.12 or 3.13 and git; both make the environment if it is missing.
PYTHON ?= $(or $(shell for one in python3.11 python3.12 python3.13; do $$one -c "" 2>/dev/null && echo $$one && break; done),$(error no python3.11, python3.12 or python3.13 that runs; install one, or name it as PYTHON=/path/to/python3.12))
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
BUNDLED := data/raw/sample_catalog data/raw/sample_voice data/voice_download models/sd_mini models/clip_mini models/xtts_mini
READY := $(VENV)/.ready
# In their own order, as tests/conftest.py puts the files that take long before the others.
TESTS := python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 20 -rs
export PATH := $(BIN):$(PATH)
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

$(READY): requirements.lock
	$(PYTHON) -m venv $(VENV)
	grep -vE "$(if $(TORCH_CPU_INDEX),^(nvidia-|cuda-|triton=),^#)" requirements.lock > $(VENV)/wanted.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/wanted.txt $(addprefix --extra-index-url ,$(TORCH_CPU_INDEX))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

repro: $(READY) ## reproduce the pipeline: bundled inputs and bases, then every stage that changed
	dvc pull --quiet --remote bundled $(BUNDLED)
	$(MAKE) --no-print-directory --jobs 2 image_failures voice_evaluate
	dvc repro

image_failures voice_evaluate: # each lane to its last stage: side by side, as each has one thread
	dvc --wait-for-lock repro $@

test: $(READY) ## run the tests, a file of them on each core
	$(TESTS) -m "not real_bases"

test-fast: $(READY) ## run those that take a second or two and need nothing but a clone
	$(TESTS) -m "not slow and not real_bases"

test-slow: $(READY) ## run the others; with ABSENT=fail, one that lacks what it needs fails
	$(TESTS) -m "slow and not real_bases"

test-real-bases: $(READY) ## run both lanes on stand-ins for the real bases (tests/real_bases)
	dvc pull --quiet --remote bundled data/raw/sample_catalog data/raw/sample_voice data/voice_download
	dvc repro --quiet models/dvc.yaml:dnsmos
	python -m pytest -m real_bases tests/real_bases

lint: $(READY) ## check style and types
	ruff check . && ruff format --check . && mypy

doctor: $(READY) ## is this machine ready for the pipeline
	likeness doctor

search-image: $(READY) ## search the image lane's params; WORKERS=N, ARGS="-S key=a,b"
	likeness search image --workers $(or $(WORKERS),1) $(ARGS)

search-voice: $(READY) ## search the voice lane's params, likewise
	likeness search voice --workers $(or $(WORKERS),1) $(ARGS)

bench: $(READY) ## run every benchmark
	for file in benchmarks/*.py; do python $$file || exit 1; done

lock: ## pin the environment again after requirements.txt changed
	$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header requirements.txt -o requirements.lock

prune: $(READY) ## delete item results and checkpoints older than DAYS (default 30)
	likeness prune --days $(or $(DAYS),30)

.PHONY: help repro image_failures voice_evaluate test test-fast test-slow test-real-bases lint doctor search-image search-voice bench lock prune
