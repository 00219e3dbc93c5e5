# `make lab` and `make test` do all of their set-up themselves; Python and make are enough.
# uv makes the environment where it is installed, else venv and pip do.

VENV ?= .venv
BIN := $(VENV)/bin
# The newest supported Python that really runs; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)

.PHONY: lab test check clean

lab: $(VENV)/.lab
	$(BIN)/secnb lab $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_environment.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 was found. Hint: make PYTHON=/path/to/python3.12"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then uv venv --quiet --python "$(PYTHON)" $(VENV); \
	else "$(PYTHON)" -m venv $(VENV) || { echo "Hint: on Debian, apt-get install python3-venv"; exit 1; }; fi
	@touch $@

$(VENV)/.lab: $(VENV)/.python pyproject.toml
	@$(call install,bulk$(comma)lab$(comma)postgres$(comma)sandbox)
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	@$(call install,bulk$(comma)lab$(comma)nested$(comma)postgres$(comma)sandbox$(comma)dev)
	@touch $@ $(VENV)/.lab

comma := ,
define install
echo "Installing secnb and what it needs into $(VENV) …"; \
if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python -e '.[$(1)]'; \
else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(1)]'; fi
endef
