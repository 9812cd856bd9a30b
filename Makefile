# Each target sets itself up in .venv; only Python 3.9 or newer and make have to be there.
PYTHON ?= python3
VENV := .venv
# Where an environment has its programs; on Windows, make runs in Git's bash.
PROGRAMS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(PROGRAMS)
STAMP := $(VENV)/.installed
INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt
DELIVERY := $(wildcard $(patsubst %,tests_e2e/test_%*.py,faults_ hostile outbox resend shards))
# What tests stand on, checked for types as well: each folder by itself, since each may have its conftest.
TYPED := tests tests_e2e tests_compat benchmarks $(dir $(shell find tests_unit -name conftest.py))

.PHONY: demo docs screenshots test test-delivery coverage matrix lint lock bench build clean

demo: $(STAMP)
	$(BIN)/famacase demo

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 tests_unit tests_wire tests tests_e2e $(DELIVERY:%=--ignore=%)

# What delivery survives: faults of the network, of processes and of disks, hostile suites, and what is sent later.
test-delivery: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 $(DELIVERY)

# `make test`, measured, with its subprocesses, xdist workers and relays: each Python that starts in .venv reads
# .ci/measure.pth. Its variable is no COVERAGE_*, since those do not reach a relay.
coverage: $(STAMP)
	cp .ci/measure.pth .ci/measure.py "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	rm -rf .coverage.d
	MEASURE_COVERAGE='$(CURDIR)' $(MAKE) --no-print-directory test
	$(BIN)/coverage combine -q
	@$(BIN)/coverage report; status=$$?; \
	  echo "coverage: $$($(BIN)/coverage report --format=total --fail-under=0) %"; exit $$status

# All supported releases of qase-pytest, or those that PAIR names; PAIR=first: the oldest, a middle one, the newest.
matrix: $(STAMP)
	$(BIN)/nox $(if $(filter first,$(PAIR)),-t first,-s $(if $(PAIR),$(foreach pair,$(PAIR),"compat($(pair))"),compat) table)

# The site in .site, with the settings as they are now; what does not fit together fails. ARGS=serve shows it as it is
# written.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(or $(ARGS),build --strict)

# Pictures of the pages for README and docs; needs a Chromium.
screenshots: $(STAMP)
	BROWSER_TESTS=required $(BIN)/python tests/screenshots.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	set -e; for folder in $(TYPED); do \
	  $(BIN)/mypy --config-file .ci/mypy-tests.ini $$(find $$folder -maxdepth 1 -name '*.py' ! -name 'test_*'); done
	$(BIN)/vulture

# The newest releases that fit, of all that is installed for development, for each Python that is supported.
lock: $(STAMP)
	$(BIN)/nox -s lock

# In an environment of its own, in which nothing but what is compared is installed. ARGS=--quick only shows that it
# works; ARGS=--help tells the rest.
bench: benchmarks/.venv/.installed
	benchmarks/.venv/$(PROGRAMS)/python -m benchmarks $(ARGS)

build: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build -q

clean:
	rm -rf $(VENV) dist .famacase .coverage.d

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9) and "Python 3.9 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -e '.[dev]'
	touch $(STAMP)

benchmarks/.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/$(PROGRAMS)/python $(INSTALL) -e . pytest-xdist
	touch $@
