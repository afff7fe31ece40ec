# `make search` and `make test` set everything up on a fresh machine: their own .venv with the tested versions.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: search test lint types unit docs chaos
search: .venv/ready
	$(BIN)/nas search

test: lint types unit

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/tested
	$(BIN)/mypy

# One test process a core, of one thread: the networks in tests are tiny, and threads that wait for each other are slow.
unit: export OMP_NUM_THREADS = 1
unit: .venv/docs
	$(BIN)/python -m pytest -n auto --dist worksteal

# The documentation site, docs/_build/html/index.html. One of the unit tests builds it too, so `test` does not.
docs: .venv/docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

# Kills, crashes, damaged files, full disks, misbehaving candidates and hostile input, in minutes; in hours with FULL=--full.
chaos: .venv/tested
	$(BIN)/python -m nas.experiments.chaos $(FULL)

# What a search needs. torch is asked for by its version first: pip would otherwise fetch the newest one, with gigabytes of
# CUDA libraries. Only what is imported is compiled, when it first is: compiling all takes a minute.
INSTALL := $(BIN)/python -m pip install -q --no-compile -c constraints.txt
.venv/ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or later is needed, this is {v[0]}.{v[1]}; say make PYTHON=python3.12, for example")'
	$(PYTHON) -m venv .venv
	$(INSTALL) torch==2.13.0 setuptools wheel
	$(INSTALL) --no-build-isolation -e '.[nni]'
	touch $@

# And what the tests need, all of it compiled: a warning about another's source would be an error in a test that is the
# first to import it. pyts is installed for the series in it; what it computes with (numba and llvmlite, 60 MB) is not
# needed for reading.
.venv/tested: .venv/ready
	$(INSTALL) --no-build-isolation -e '.[nni,optuna,onnx,parquet,dev,bench]'
	$(INSTALL) --no-deps pyts
	$(BIN)/python -W ignore -m compileall -q -j 0 .venv/lib > .venv/compiled.log || true
	touch $@

# And what the site needs.
.venv/docs: .venv/tested
	$(INSTALL) --no-build-isolation -e '.[docs]'
	touch $@
