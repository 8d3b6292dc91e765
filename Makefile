# make install   the package and all that it needs, in the folder .venv
# make demo      three simulated patients, from images to reports, in the folder demo
# make test      the tests, by JOBS processes (2)
# make fuzz      ten minutes of each reader of users' files against random content
# make machines  the images and runs of them, runs on a Slurm cluster of this machine
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || echo python3)

BIN = $(VENV)/bin
JOBS ?= 2
INSTALLED = $(VENV)/.installed

READERS = image packed table ratings card filters plugin

.PHONY: install demo test fuzz machines clean

install: $(INSTALLED)

# torch first and alone: it is by far the largest, and found again by the second command.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt torch
	$(BIN)/python -m pip install -c constraints.txt -e .[test]
	touch $@

demo: install
	$(BIN)/python studies/demo.py demo

test: install
	$(BIN)/python -m pytest -q --durations=15 -n $(JOBS) --dist loadfile

fuzz: install
	$(BIN)/python -m pip install -c constraints.txt atheris
	for reader in $(READERS); do $(BIN)/python tests/fuzz/fuzz.py $$reader -max_total_time=600 || exit; done

machines: install
	tests/machines.sh

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
