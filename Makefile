# What each target needs, it installs into .venv; only Python 3.11 or later, make and git must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo --stay run test coverage bench chaos soak format clean
.DEFAULT_GOAL := demo

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("sender needs Python 3.11 or later, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/sender demo $(ARGS) $(filter --stay,$(MAKECMDGOALS))

# `make demo -- --stay`: make takes the word for a target.
--stay:
	@:

run: $(VENV)/installed
	$(BIN)/sender serve --config config/sender.toml

test: $(VENV)/installed-test
	sh tests/debian.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

# What no test runs: it takes twice the time.
coverage: $(VENV)/installed-test
	sh tests/debian.sh
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --cov --cov-report=term $(ARGS)

bench: $(VENV)/installed-test
	sh tests/debian.sh stunnel4
	$(BIN)/python -m tests.bench $(ARGS)

# The promises, tried in full, with a report in tests/chaos/REPORT.md: it takes an hour. ARGS runs some of it again.
chaos: $(VENV)/installed-test
	sh tests/debian.sh
	$(BIN)/python -m tests.chaos $(ARGS)

# A thousand kills under load, and fuzz in its full measure: it takes a night.
soak: $(VENV)/installed-test
	SENDER_CHAOS=soak $(BIN)/python -m pytest -s tests/chaos/test_kills.py tests/chaos/test_fuzz.py tests/chaos/test_damaged_files.py $(ARGS)

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
