# make install        install the package into the virtual environment .venv
# make install-tests  install the requirements of the tests, too
# make demo           process three simulated patients, from images to reports, in the folder demo
# make test           run the fast tests in JOBS (2) parallel processes
# make test-all       run all tests except those marked as exhaustive
# make coverage       measure the coverage of the package by the fast tests
# make fuzz           fuzz each reader of user-supplied files for ten minutes
# make integration    test the container images, and runs on a Slurm cluster on this machine
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)

BIN = $(VENV)/bin
JOBS ?= 2
INSTALLED = $(VENV)/.installed
TESTS_INSTALLED = $(VENV)/.tests-installed
PIP = $(BIN)/python -m pip install -c constraints.txt
PYTEST = $(BIN)/python -m pytest -q --durations=15 -n $(JOBS) --dist loadfile
FAST = -m "not slow and not exhaustive"

READERS = image packed table ratings card filters plugin config

.PHONY: install install-tests demo test test-all coverage fuzz integration clean

install: $(INSTALLED)

install-tests: $(TESTS_INSTALLED)

# Install torch first: it is by far the largest package, and the second command finds it installed.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(TESTS_INSTALLED): $(INSTALLED)
	$(PIP) -e .[test]
	touch $@

demo: install
	$(BIN)/python studies/demo.py demo

test: install-tests
	$(PYTEST) $(FAST)

test-all: install-tests
	$(PYTEST)

coverage: install-tests
	$(PYTEST) $(FAST) --cov bids_stroke --cov-report term:skip-covered

fuzz: install-tests
	$(PIP) atheris
	for reader in $(READERS); do $(BIN)/python tests/fuzz/fuzz.py $$reader -max_total_time=600 || exit; done

integration: install-tests
	tests/integration.sh

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
