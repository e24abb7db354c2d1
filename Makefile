# Everything a clone needs: each target sets up .venv by itself and writes nothing outside the clone but package caches.
.POSIX:
.PHONY: run up down test soak check clean

PYTHON = python3
BIN = .venv/bin

run: .venv/ready
	$(BIN)/daycast run

up: .venv/ready
	$(BIN)/daycast up

down: .venv/ready
	$(BIN)/daycast down

# One process more than cores, for some tests mostly wait; in the order of the folders, so that the long ones come first.
test: .venv/ready
	$(BIN)/python -m pytest --numprocesses $$($(BIN)/python -c 'import os; print(min(os.cpu_count(), 3) + 1)') --dist loadfile --no-loadscope-reorder --durations 25

# A week of operation, hour by hour, with the clock moved.
soak: .venv/ready
	$(BIN)/python -m pytest -m soak -s tests/soak

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml infra/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "daycast needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint infra/constraints.txt --editable '.[dev,lake,dask]'
	touch $@
