# Two commands do everything on a machine with Python >= 3.11 and make: `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml src/starloom/__init__.py distributions/paper/pyproject.toml
# the first of these that is new enough; choose another with `make PYTHON=/path/to/python demo`
CANDIDATES := python3.13 python3.12 python3.11 python3.14 python3 python
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	"$$name" -c "$(NEW_ENOUGH)" 2>/dev/null && { echo "$$name"; break; }; done)
# the explorer's page, without the vendored library
SCRIPTS = $(shell find src/starloom/explorer/page -name '*.js' -not -path '*/vendor/*' | LC_ALL=C sort)

.PHONY: demo test lint clean
.DEFAULT_GOAL := demo

demo: $(VENV)/demo.stamp
	$(BIN)/starloom demo demo

# a file's tests share what JAX compiles, so they stay in one process
test: $(VENV)/test.stamp lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

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

clean:
	rm -rf $(VENV) demo

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
