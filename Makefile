# Each target makes what it needs, the virtual environment included.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint check bench docs format clean help fuzz lock
help:            ## these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "linkage needs Python 3.11 or later as $(PYTHON); say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(READY)   ## a small world, from logs to a report that opens
	@$(BIN)/linkage simulate demo/world --accounts 400 --days 14 --seed 7 --scenario E1
	@$(BIN)/linkage ingest demo/store.db demo/world/requests.ndjson.gz --accounts demo/world/accounts.csv
	@$(BIN)/linkage rebuild demo/store.db
	@$(BIN)/linkage clusters demo/store.db
	@$(BIN)/linkage evaluate demo/store.db --truth demo/world/truth.csv
	@$(BIN)/linkage report demo/store.db --out demo/report

test: $(READY)   ## the whole test suite
	$(BIN)/python -m pytest -n 2

lint: $(READY)   ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test ## the full gate: format, lint, types, tests

format: $(READY) ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## speed and quality beside named peers, in one run
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks

lock: $(READY)   ## write requirements.lock anew, for this Python and platform
	$(BIN)/python .ci/lock

FUZZ_S ?= 300
fuzz: $(READY)   ## look for inputs that break a promise, FUZZ_S seconds in all (300)
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/run.py $(FUZZ_S)

docs: $(READY)   ## API reference and tutorials as pages, offline
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs . build/docs
	@echo build/docs/docs/index.html

clean:           ## remove what the targets above made
	rm -rf $(VENV) demo build dist
