# `make demo` and `make test` set up everything they need in .venv; running them again changes nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TRAINS := $(VENV)/.trains
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

# Of 18,000 modules tests and linters import a third; each is compiled then, and kept.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

# Else each process would compile all modules again that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long lint bench clean

demo: $(READY) $(INSTALLED)
	$(BIN)/funnel demo

# Three workers, also on two cores: each waits now and then for a disk, a server or another process.
TEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: $(READY) $(INSTALLED)
	$(TEST)

# What tests/long.txt names.
test-long: $(READY) $(INSTALLED)
	$(TEST) -m long

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) $(INSTALLED)
	$(BIN)/python -m pytest benchmarks --benchmark-only

# What building and serving need comes first: `funnel warm` compiles beside the rest of the installation.
$(TRAINS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else f"funnel needs Python 3.11 to 3.14, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[train,plot]'
	@touch $(TRAINS)

# Not by the folder again: funnel would be away for a moment, and what compiles looks for it.
$(INSTALLED): $(TRAINS)
	$(INSTALL) 'funnel-rank[train,plot,serve,client,sign,sql,redis,postgres,scale,dev]'
	@touch $(INSTALLED)

$(READY): $(TRAINS)
	$(BIN)/funnel warm --example
	@touch $(READY)

clean:
	rm -rf $(VENV)
