# make demo   transcribes samples/         make test   all checks
# Both install first, into .venv (made if missing). PYTHON names the interpreter to make it with.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help install demo test test-extras lint clean

help:
	@echo "make install  .venv with this package and all that developing it needs (6 GB)"
	@echo "make demo     install, and transcribe samples/"
	@echo "make test     install, and run every check: lint, types, imports, tests"
	@echo "make lint     install, and run the checks without the tests"
	@echo "make test-extras   install each extra alone into a fresh environment and run its command"
	@echo "              (minutes, and gigabytes in a temporary folder; EXTRAS=train for one of them)"
	@echo "make clean    remove .venv, caches and build products (not data and runs of recipes)"

install: $(INSTALLED)

# The stamp is as old as the last installation: nothing is done again until a requirement changes.
$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, \
	this is " + sys.version.split()[0] + ": make ... PYTHON=python3.12")'
	@echo "Installing into .venv what asr needs: 6 GB, most of it torch and its GPU libraries."
	@echo "The first time that takes minutes; pip tells below what it is at. It is done once."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@
	@echo "Installed: $(BIN)/asr"

demo: install
	@echo "Transcribing the recordings in samples/ (half a minute of speech):"
	$(BIN)/asr transcribe samples/

# One thread a process: on a busy machine the threads of small models mostly wait for each other.
test: lint
	@echo "The tests, in two processes; some train small models, so this takes a while:"
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 $(PYTEST_OPTIONS)

test-extras: install
	$(BIN)/python tools/check_extras.py $(EXTRAS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "Types (the first time it takes a minute):"
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find asr tests tools recipes -name __pycache__ -prune -exec rm -rf {} +
