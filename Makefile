# Every target makes its own environment in .venv first; nothing has to be prepared but Python and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=
OUT ?= real
BENCHMARKS = $(patsubst benchmarks/%.py,%,$(sort $(shell grep -ls '^if __name__ == "__main__"' benchmarks/*.py)))

.DEFAULT_GOAL := help
.PHONY: help install dev demo test test-slow lint format bench bench-quick real faults constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,vendor]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed  ## create .venv with what SpectroFlow needs to run

dev: $(VENV)/.installed-dev  ## the same with what tests, lint and benchmarks need

demo: install  ## the whole way on a simulated archive, into demo/
	$(BIN)/spectroflow demo demo

test: dev  ## all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

test-slow: dev  ## the slow ones
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev  ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: dev  ## all benchmarks in full; writes benchmarks/results/NAME.json
	@mkdir -p benchmarks/results
	@set -e; for name in $(BENCHMARKS); do \
	    echo "benchmarks.$$name" >&2; \
	    $(BIN)/python -m benchmarks.$$name --json $(BENCH_ARGS) > benchmarks/results/$$name.json.part; \
	    mv benchmarks/results/$$name.json.part benchmarks/results/$$name.json; \
	done

bench-quick: dev  ## the whole path of every benchmark on less work; writes nothing
	@set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name --quick; done

faults: dev  ## the fault matrix: kill, starve and lie to the engine, and compare the bytes
	$(BIN)/python -m benchmarks.faults

real: install  ## the whole way on real spectra: make real DATA=folder of the RRUFF pack
	@test -d "$(DATA)" || { echo "make real needs DATA=folder, see examples/rruff/README.md" >&2; exit 2; }
	DATA="$(abspath $(DATA))" OUT="$(abspath $(OUT))" $(BIN)/spectroflow run examples/rruff/pipeline.toml

constraints: dev  ## write constraints.txt from what is installed in .venv
	@{ sed -n '/^#/p' constraints.txt; \
	   $(BIN)/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' | sed 's/+.*//'; } > constraints.txt.part
	@mv constraints.txt.part constraints.txt

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build dist demo real
