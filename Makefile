# Every target sets up what it needs: a virtual environment in .venv with the exact versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Three on two cores: half of what the tests take they wait, for brokers, databases and other processes.
JOBS ?= 3
TORCH ?= torch

.PHONY: demo install test test-torch servers check format bench soak clean

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/hansa demo horizontal --folder hansa-demo --replace
	$(BIN)/hansa demo vertical --folder hansa-demo-vertical --replace
	$(BIN)/hansa demo lending --folder hansa-demo-lending --replace
	$(BIN)/hansa demo fork --folder hansa-demo-fork --replace
	$(BIN)/hansa demo incentive --folder hansa-demo-incentive --replace

test: $(STAMP) servers
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report=term --durations=10

# PyTorch is an extra, and gigabytes with its GPU libraries: these tests have a virtual environment of their own.
# TORCH names another build, such as TORCH='torch==2.9.0+cpu', if pip is told where to find it.
test-torch:
	@test -x .venv-torch/bin/python || $(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	--editable '.[dev,torch]' '$(TORCH)'
	.venv-torch/bin/python -m pytest tests/torch --cov-config=tests/torch/coverage.toml --cov --cov-report=term

# The tests start a private RabbitMQ and PostgreSQL of their own from the packages' files; they never use the
# machine's services. With strace they make the disk fail under a ledger.
servers:
	@ls /usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server >/dev/null 2>&1 || test -n "$$RABBITMQ_HOME" \
	|| { test "$$(id -u)" = 0 && echo "Installing rabbitmq-server for the tests ..." && apt-get update -qq \
	     && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq rabbitmq-server >/dev/null; } \
	|| { echo "The tests need RabbitMQ: install the package rabbitmq-server, or set RABBITMQ_HOME"; exit 1; }
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null \
	|| { test "$$(id -u)" = 0 && echo "Installing postgresql for the tests ..." && apt-get update -qq \
	     && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; } \
	|| { echo "The tests need PostgreSQL: install the package postgresql, or put initdb and postgres on PATH"; exit 1; }
	@command -v strace >/dev/null \
	|| { test "$$(id -u)" = 0 && echo "Installing strace for the tests ..." && apt-get update -qq \
	     && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq strace >/dev/null; } \
	|| { echo "The tests need strace: install the package strace"; exit 1; }

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

soak: $(STAMP)
	HANSA_SEEDS=10000 HANSA_FAULTS=all $(BIN)/python -m pytest -n $(JOBS) tests/simulation \
	tests/ledger/test_storage_faults.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis hansa-demo hansa-demo-vertical hansa-demo-lending hansa-demo-fork hansa-demo-incentive

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "hansa needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing hansa and its exact dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
