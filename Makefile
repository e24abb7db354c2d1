# Everything a clone needs: each target sets up .venv by itself and writes nothing outside the clone but package caches.
.POSIX:
.PHONY: run up down test test-all test-slow soak chaos images check documents clean

PYTHON = python3
BIN = .venv/bin
# One process more than cores, for some tests mostly wait; in the order of the folders, so that the long ones come first.
WORKERS = $$($(BIN)/python -c 'import os; print(min(os.cpu_count(), 4) + 1)')
# Bytecode is kept, whatever the environment says: hundreds of processes start, and would compile everything anew.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25

run: .venv/ready
	$(BIN)/daycast run

up: .venv/ready
	$(BIN)/daycast up

down: .venv/ready
	$(BIN)/daycast down

# Every unit test, one whole chain through the command line, and one Prefect server whose workers run what is deployed.
test: .venv/ready
	$(PYTEST) -m 'not slow and not soak'

# Beside those: runs killed in mid work, what goes wrong around a run, the lake on PostgreSQL and S3, Dask, several processes.
test-all: .venv/ready
	$(PYTEST) -m 'not soak'

# What test-all has beyond test.
test-slow: .venv/ready
	$(PYTEST) -m slow

# A week of operation, hour by hour, with the clock moved; and commands in random order under random faults, as many as
# DAYCAST_FAULT_COMMANDS says (200), by DAYCAST_FAULT_SEED (1).
soak: .venv/ready
	$(BIN)/python -m pytest -m soak -s tests/soak

# A year of operation under kills, faults of sources and disks, wrong clocks, upgrades and damage; then every process of
# `daycast up` is killed in turn. It takes hours, goes on where it was interrupted, and leaves build/chaos. A short one:
# DAYCAST_CHAOS_DAYS=7 make chaos; DAYCAST_CHAOS_KILLS (1,000 a year) and DAYCAST_CHAOS_SEED (1) are the rest of its size.
chaos: .venv/ready
	PYTHONPATH=tests OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m soak.year
	$(BIN)/python -m pytest -m soak -s tests/integration/test_killed.py

# The images built and run, killed and cut off from each other, as root on Debian: half an hour. See infra/README.md.
images: .venv/ready
	DAYCAST_TEST_IMAGES=$${DAYCAST_TEST_IMAGES:-1} $(BIN)/python -m pytest -s tests/integration/images

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What the code says of itself: commands and settings of the guide, sql/README.md, tests/benchmarks/README.md.
documents: .venv/ready
	$(BIN)/python tests/house/write_documents.py

clean:
	rm -rf .venv build *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml infra/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "daycast needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint infra/constraints.txt --editable '.[dev,lake,databases,dask]'
	$(BIN)/python -m compileall -q src flows
	touch $@
