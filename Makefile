# Everything a newcomer needs: make run, make test. The rest: make help.
#
# One virtual environment (.venv) holds the tools and amqpd itself, as a wheel of this checkout: compiled where a C
# compiler works, interpreted otherwise. Compiling takes minutes and is repeated only after a change. The checkout itself
# is always interpreted: `python -m amqpd` here runs the files as they are.

PYTHON ?= python3
BROKERS ?= amqpd rabbitmq
ARGS ?=
BENCH ?=

BIN := .venv/bin
INTEROP := .venv-interop/bin
PIP := pip --disable-pip-version-check --quiet
WHEEL := build/wheel/.installed
SOURCES := pyproject.toml setup.py README.md LICENSE $(shell find amqpd -name '*.py')

.DELETE_ON_ERROR:
.PHONY: help run test test-interpreted test-compiled check lint format interop bench table instructions clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(WHEEL)  ## start the broker; options: make run ARGS="--port 5673 --memory"
	@exec $(BIN)/amqpd $(ARGS)

test: test-interpreted test-compiled  ## run the tests, interpreted and compiled; options: make test ARGS="-k table"

test-interpreted: .venv/.tools
	PYTHONPATH=$(CURDIR) $(BIN)/pytest --form interpreted $(ARGS)

# A machine without a C compiler cannot make the compiled form; one that has it must.
test-compiled: $(WHEEL)
	@if $(BIN)/python -c 'import setup, sys; sys.exit(not setup.compiler_works())'; then \
		echo "$(BIN)/pytest --form compiled $(ARGS)"; env -u PYTHONPATH $(BIN)/pytest --form compiled $(ARGS); \
	else \
		echo "No C compiler with Python's headers here: the compiled form is not tested."; \
	fi

check: lint test  ## what CI runs: ruff, mypy --strict and the tests in both forms

lint: .venv/.tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict

format: .venv/.tools  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

interop: $(WHEEL) .venv-interop/.tools  ## real clients against amqpd and a real RabbitMQ; make interop BROKERS=amqpd
	$(INTEROP)/python -m mypy --config-file interop/mypy.ini interop
	AMQPD_COMMAND=$(CURDIR)/$(BIN)/amqpd $(INTEROP)/python -m pytest -c interop/pytest.ini interop \
		$(addprefix --broker ,$(BROKERS)) $(ARGS)

bench: $(WHEEL)  ## the loads of interop/bench; others beside it: make bench BENCH="rabbitmq=5772:PID --only W1,W2"
	@rm -f build/bench.json; \
	$(BIN)/amqpd --memory --no-management --port 0 --log-level warning --ready-file build/bench.json & broker=$$!; \
	trap 'kill $$broker' EXIT; \
	until [ -s build/bench.json ]; do kill -0 $$broker || exit 1; sleep 0.1; done; \
	port=$$($(BIN)/python -c 'import json; print(json.load(open("build/bench.json"))["ports"]["amqp"])'); \
	$(BIN)/amqpd --version; \
	$(BIN)/python interop/bench/compare.py amqpd=$$port:$$broker $(BENCH)

table: $(WHEEL) .venv-interop/.tools  ## every load for amqpd in both forms and RabbitMQ, in Markdown; wants a quiet machine
	$(INTEROP)/python -m interop.bench.table --command $(BIN)/amqpd $(ARGS)

instructions: $(WHEEL)  ## count the work for a message and compare; make instructions ARGS=--accept
	$(BIN)/python -P interop/bench/instructions.py $(ARGS)

clean:  ## remove everything that make made
	rm -rf .venv .venv-interop build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find amqpd tests interop -name __pycache__ -prune -exec rm -rf {} +

.venv/.tools: pyproject.toml
	@echo "Setting up .venv"
	@$(PYTHON) -m venv .venv
	@AMQPD_COMPILE=0 $(BIN)/$(PIP) install '.[dev]'
	@touch $@

$(WHEEL): .venv/.tools $(SOURCES)
	@echo "Building amqpd (compiling takes some minutes, after a change only)"
	@rm -rf build/wheel && mkdir -p build/wheel
	@$(BIN)/pip --disable-pip-version-check wheel --verbose --no-deps --no-build-isolation --wheel-dir build/wheel . \
		> build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	@grep -E '^ *amqpd: ' build/wheel.log || true
	@$(BIN)/$(PIP) install --no-deps --force-reinstall build/wheel/*.whl
	@touch $@
	@$(BIN)/amqpd --version

.venv-interop/.tools: interop/requirements.txt
	@echo "Setting up .venv-interop"
	@$(PYTHON) -m venv .venv-interop
	@$(INTEROP)/$(PIP) install -r interop/requirements.txt
	@touch $@
