# Each target sets itself up in .venv; only Python 3.9 or newer and make have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DELIVERY := $(wildcard $(patsubst %,tests_e2e/test_%*.py,faults_ hostile outbox resend shards))

.PHONY: demo test test-delivery matrix lint bench build clean

demo: $(STAMP)
	$(BIN)/famacase demo

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 tests_unit tests_wire tests tests_e2e $(DELIVERY:%=--ignore=%)

# What delivery survives: faults of the network, of processes and of disks, hostile suites, and what is sent later.
test-delivery: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 $(DELIVERY)

# All supported releases of qase-pytest, or those that PAIR names; PAIR=first: the oldest, a middle one, the newest.
matrix: $(STAMP)
	$(BIN)/nox $(if $(filter first,$(PAIR)),-t first,-s $(if $(PAIR),$(foreach pair,$(PAIR),"compat($(pair))"),compat) table)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# In an environment of its own, in which nothing but what is compared is installed. ARGS=--quick only shows that it
# works; ARGS=--help tells the rest.
bench: benchmarks/.venv/.installed
	benchmarks/.venv/bin/python -m benchmarks $(ARGS)

build: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build -q

clean:
	rm -rf $(VENV) dist .famacase

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9) and "Python 3.9 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

benchmarks/.venv/.installed: pyproject.toml Makefile
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install --quiet --disable-pip-version-check -e . qase-pytest==9.0.0 pytest-xdist
	touch $@
