# make demo     the whole contact center on this machine, made up      (ARGS="--port 0")
# make test     every test, on real servers where they are or may be installed
# make check    formats, lints, types, the page
# make bench    figures beside a rival's, in the same run
# make setup    .venv with everything, the page built; the others do this first
# make lock     resolve the dependencies anew                          (ARGS="--upgrade")

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

ARGS ?=
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
WEB := agent_ui/web
NPM := PATH="$(BIN):$$PATH" npm --prefix $(WEB) --no-fund --no-audit
PIP := $(BIN)/python -m pip --disable-pip-version-check
PAGE_SOURCES := $(shell find $(WEB) -name node_modules -prune -o -type f -print 2>/dev/null)
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: help setup demo test check bench lock

help:
	@sed -n 's/^# \(make.*\)/\1/p' Makefile

setup: $(VENV)/.santral

# A Python of 3.11 or newer that can make virtual environments; PYTHON=… chooses another.
$(VENV)/bin/python:
	@python="$${PYTHON:-}"; \
	for candidate in $${python:-python3.11 python3 python3.12 python3.13 python3.14 python}; do \
		if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
			>/dev/null 2>&1; then python="$$candidate"; break; fi; \
		python=""; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Santral needs Python 3.11 or newer with venv (Debian: apt install python3-venv)." >&2; \
		exit 1; \
	fi; \
	echo "Setting up in $(VENV) with $$("$$python" --version); this takes a minute, once." >&2; \
	"$$python" -m venv --clear $(VENV)

$(VENV)/.requirements: requirements/dev.txt | $(VENV)/bin/python
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt 2>&1 \
		| { grep -v '^WARNING: ' >&2 || true; }
	@touch $@

$(WEB)/node_modules/.santral: $(WEB)/package-lock.json | $(VENV)/.requirements
	@$(NPM) --loglevel=error ci >/dev/null
	@touch $@

$(VENV)/.santral: $(VENV)/.requirements pyproject.toml hatch_build.py $(PAGE_SOURCES)
	@rm -rf agent_ui/static
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup
	@exec $(BIN)/santral demo $(ARGS)

test: setup $(WEB)/node_modules/.santral
	@.ci/suites

check: setup $(WEB)/node_modules/.santral
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(VENV)/bin/ruff format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(NPM) --silent run check
	@$(BIN)/python -m pytest -q --no-header -p no:cacheprovider tests/test_architecture.py tests/test_docs.py
	@echo "check: all is well"

bench: setup
	@$(BIN)/python -m bench $(ARGS)

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv" >&2; exit 1; }
	@$(LOCK) $(ARGS) pyproject.toml --extra demo --output-file requirements/runtime.txt
	@$(LOCK) $(ARGS) pyproject.toml --extra demo --group dev --output-file requirements/dev.txt
