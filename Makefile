# make app        set up once, then serve the explorer on localhost:8501
# make check      set up once, then check style and types and run the tests that take seconds
# make test       set up once, then check everything
# make notebooks  set up once, then execute the notebooks in place; needs Chromium
# make docs       set up once, then build the documentation as a site in build/docs
# make measured   check that every step has measured speeds (measuring needs a GPU)
# make lowest     test the lowest versions that the requirements allow, in a separate environment

PYTHON ?= python3
BIN := .venv/bin

# Where the environment forbids bytecode, each test process would compile all modules itself.
export PYTHONDONTWRITEBYTECODE =

.PHONY: app check lint test notebooks docs measured lowest

app: .venv/app.stamp
	@echo "The explorer: http://localhost:8501"
	@$(BIN)/python -m roadmap app

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile \
		-m 'not (browser or cuda or measured or network or slow)'

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

notebooks: .venv/test.stamp
	@$(BIN)/python notebooks/execute.py

docs: .venv/test.stamp
	@$(BIN)/python -m mkdocs build --strict
	@echo "Open build/docs/index.html, or serve it while writing: $(BIN)/python -m mkdocs serve"

measured: .venv/test.stamp
	$(BIN)/python -m pytest -m measured tests/measure/test_committed_throughput.py

lowest:
	@PYTHON=$(PYTHON) .ci/lowest

.venv/app.stamp: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing requirements.txt into .venv (once; takes a few minutes)"
	@$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/test.stamp: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing requirements.txt and the tools into .venv (once; takes a few minutes)"
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ .venv/app.stamp

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --upgrade pip
