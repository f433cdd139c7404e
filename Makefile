# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
# One thread per test worker: with more threads than cores, small operations wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: run test quick test-all check bench made docs clean

run: .venv/installed
	$(BIN)/supernet run --config digits/lost

# The checks take one core, so they run beside the tests.
test: .venv/installed
	$(MAKE) --jobs=2 check quick

quick: .venv/installed
	$(ONE_THREAD) $(BIN)/pytest -n auto -m "not slow"

test-all: .venv/installed check
	$(ONE_THREAD) $(BIN)/pytest -n auto

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

bench: .venv/installed
	$(ONE_THREAD) $(BIN)/python -m benchmarks

# What is made of the code: tables of run-folder.md, schemas, and what `run --help` prints.
made: .venv/installed
	$(BIN)/python -m supernet.track.published docs
	$(BIN)/python -m supernet.option_help

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	# Its models are converted by tests and benchmarks; torchvision, which it asks for, is not needed.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps timm
	touch $@

# The site, into site/; what it needs is installed beside the rest.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
