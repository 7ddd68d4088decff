# Two commands do everything on a machine with Python >= 3.11 and make: `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml src/starloom/__init__.py distributions/paper/pyproject.toml distributions/optical/pyproject.toml
# the first of these that is new enough; choose another with `make PYTHON=/path/to/python demo`
CANDIDATES := python3.13 python3.12 python3.11 python3.14 python3 python
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	"$$name" -c "$(NEW_ENOUGH)" 2>/dev/null && { echo "$$name"; break; }; done)
# the explorer's page, without the vendored library, and the site's own
SCRIPTS = $(shell find src/starloom/explorer/page docs/static -name '*.js' -not -path '*/vendor/*' | LC_ALL=C sort)

.PHONY: demo test lint docs dist check-dist clean optical
.DEFAULT_GOAL := demo

demo: $(VENV)/demo.stamp
	$(BIN)/starloom demo demo

# a file's tests share what JAX compiles, so they stay in one process
test: $(VENV)/test.stamp lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

optical: $(VENV)/demo.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[synthesis]' --editable distributions/optical \
		--editable distributions/optical-model

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	@if command -v node >/dev/null; then \
		for file in $(SCRIPTS); do \
			node --input-type=module --check < $$file || { echo "$$file is no JavaScript" >&2; exit 1; }; \
		done; \
	else echo "node is not installed: the explorer's modules are not checked"; fi
	@if command -v prettier >/dev/null; then prettier --check --print-width 140 $(SCRIPTS); \
	else echo "prettier is not installed: the form of the explorer's modules is not checked"; fi

# what is asked of no network: pages, tutorials that are run (one of the optical), the reference; warnings are errors
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . build/site
	@echo "the site is in build/site; to read it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

# sdist and wheel of the package and of those in distributions
dist: $(VENV)/release.stamp
	rm -rf dist
	$(BIN)/python -m build --quiet --outdir dist .
	$(BIN)/python -m build --quiet --outdir dist distributions/paper
	$(BIN)/python -m build --quiet --outdir dist distributions/optical
	$(BIN)/python -m build --quiet --outdir dist distributions/optical-model
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python packaging/content.py dist

# each wheel in an empty environment of every Python there is: installed, and run
check-dist: dist
	$(BIN)/cffconvert --validate
	$(BIN)/python packaging/try_wheels.py dist

clean:
	rm -rf $(VENV) demo build dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "starloom needs Python 3.11 or newer with venv and pip; looked for: $(CANDIDATES)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# stamps: installing again only when what is installed has changed
$(VENV)/demo.stamp: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[plot]' --editable distributions/paper
	@touch $@

$(VENV)/test.stamp: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[development]' --editable distributions/paper
	@touch $@ $(VENV)/demo.stamp

$(VENV)/docs.stamp: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]' --editable distributions/paper \
		--editable distributions/optical --editable distributions/optical-model
	@touch $@ $(VENV)/demo.stamp

$(VENV)/release.stamp: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]' --editable distributions/paper
	@touch $@
