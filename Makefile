# `make demo` and `make test` set up everything they need in .venv; running them again changes nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

# Else each process would compile all modules again that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long lint bench clean

demo: $(READY)
	$(BIN)/funnel demo

# Three workers, also on two cores: each waits now and then for a disk, a server or another process.
TEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: $(READY)
	$(TEST)

# What tests/long.txt names.
test-long: $(READY)
	$(TEST) -m long

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m pytest benchmarks --benchmark-only

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else f"funnel needs Python 3.11 to 3.14, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
# Of 18,000 modules tests and linters import a third; each is compiled then, and kept.
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[train,plot,serve,client,sign,sql,redis,postgres,scale,dev]'
	@touch $(INSTALLED)

$(READY): $(INSTALLED)
	$(BIN)/funnel warm --example
	@touch $(READY)

clean:
	rm -rf $(VENV)
