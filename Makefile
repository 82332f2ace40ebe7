# `make demo` tells the story end to end; `make check` is quick, for each commit; `make test` runs everything.
# Each sets up its environment in .venv first; once installed they need no network.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# the CUDA build of XGBoost is a hundred times larger: only where there is a device for it
DEMO_EXTRA := $(if $(shell command -v nvidia-smi 2>/dev/null),demo,demo-cpu)

# which knows dependency groups
PIP := pip>=25.1

# whose own suites are run by `host-suites`
PYTHONS ?= python3.11 python3.12 python3.13 python3.14

# tests that only compute: no services, no processes to wait for; of these the random traces take minutes, and the advice
# for each situation half of one
SLOW := tests/analysis/attribution/test_conservation.py tests/analysis/spans/test_colliding_ids.py \
	tests/analysis/situations/test_advice.py
PURE := tests/test_layers.py tests/test_docs.py tests/test_words.py tests/analysis/attribution \
	tests/analysis/load tests/analysis/measure tests/analysis/path \
	tests/analysis/situations tests/analysis/spans tests/analysis/verdicts tests/tracer/host tests/tracer/offcpu \
	tests/tracer/redaction tests/tracer/spans

# tests that neither measure time nor look at the whole machine: several at once do not disturb each other
TOGETHER := tests/analysis tests/browser tests/notebooks tests/test_install.py $(filter-out tests/analysis/%,$(PURE))
AT_ONCE := --numprocesses=auto --maxprocesses=8 --dist=loadfile

# what an installation is made from; the native core is compiled by it
BUILT_FROM := pyproject.toml hatch_build.py $(wildcard tracer/host/native/*.[ch])

# what the two cores do each in its own way
OF_CORES := $(addprefix tests/tracer/,hotpath probes/locks probes/threads probes/stacks/test_alarm.py \
	probes/requests/test_framework_stamps.py)

# the oldest OpenTelemetry that pyproject.toml allows; what depends most on its version
OLDEST := .venv-oldest
OLDEST_OTEL := opentelemetry-api==1.36.* opentelemetry-sdk==1.36.* opentelemetry-exporter-otlp-proto-http==1.36.* \
	opentelemetry-instrumentation==0.57b0 opentelemetry-instrumentation-fastapi==0.57b0
OF_OTEL := tests/tracer/export tests/tracer/keeping tests/tracer/probes/requests/test_framework_stamps.py \
	tests/tracer/probes/requests/test_server_span.py tests/tracer/probes/requests/test_local_roots.py

# what depends most on the version of Python
TRACED := tests/tracer tests/truth

.PHONY: help demo check pure traced oldest python-core sanitize test lint types tests jaeger host-suites observed-table recording notebooks docs pictures truth street bench clean
help:
	@echo "make demo   install, then run the story end to end (about 3 minutes; DEMO_ARGS=--full for more requests)"
	@echo "make check  install, then run lint, types and the tests that only compute (a minute)"
	@echo "make coverage  the tests that only compute, with their coverage, on any Python"
	@echo "make test   install, then run lint, types and all tests"
	@echo "make traced install, then run the tests of the tracer and of known delays (10 minutes); of another Python:"
	@echo "            make check traced PYTHON=python3.14 VENV=.venv314"
	@echo "make oldest    the tests that depend on OpenTelemetry's version, with the oldest that may be installed"
	@echo "make sanitize  build the native core with sanitizers and run its tests; it needs gcc"
	@echo "make host-suites   CPython's, anyio's, starlette's, uvicorn's and httpx's own tests, without and with"
	@echo "            every probe on (PYTHONS=\"$(PYTHONS)\"); slow"
	@echo "make observed-table   which causes are observed, sampled or unavailable on which Python and loop"
	@echo "make recording  make the traces that the notebooks start from anew (a minute)"
	@echo "make notebooks  run the notebooks with that recording and keep their outputs; needs Chromium"
	@echo "make docs   the documentation as a site, in ./site; a dead link is an error"
	@echo "make pictures  draw the pictures of the docs anew; needs Chromium, and for those of Jaeger its UI:"
	@echo "            see benchmarks/jaeger_pictures.py"
	@echo "make clean  remove the environment and caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "whywait needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "==> making an environment in $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.demo: $(BUILT_FROM) | $(BIN)/python
	@echo "==> installing whywait[$(DEMO_EXTRA)] (the first time only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(DEMO_EXTRA)]'
	@touch $@

$(VENV)/.dev: $(BUILT_FROM) | $(BIN)/python
	@echo "==> installing whywait[demo-cpu] and the group dev (the first time only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(PIP)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo-cpu]' --group dev
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	@$(BIN)/whywait demo $(DEMO_ARGS)

test: lint types tests python-core

# the types beside the tests: each uses one CPU
check: lint
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target types pure

# coverage here alone, since the other tests measure time; and only where Python has a cheap way to it
# (sys.monitoring, from 3.12 on): before, it doubles the time
pure: $(VENV)/.dev
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then \
	  COVERAGE_CORE=sysmon $(MAKE) --no-print-directory coverage; \
	else \
	  echo "==> tests that only compute"; $(ONLY_COMPUTE) && \
	  echo "coverage: \`make coverage\` measures it on $$($(BIN)/python --version), which has no cheap way to it"; \
	fi

ONLY_COMPUTE = $(BIN)/python -m pytest $(PURE) $(addprefix --ignore=,$(SLOW)) $(AT_ONCE) -q --no-header $(PYTEST_ARGS)

coverage: $(VENV)/.dev
	@echo "==> tests that only compute, with coverage"
	@$(ONLY_COMPUTE) --cov --cov-report=
	@echo "coverage of these tests alone, in percent: $$($(BIN)/coverage report --format=total)"

lint: $(VENV)/.dev
	@echo "==> lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev
	@echo "==> types"
	@$(BIN)/mypy

# the tests of what the native core does: with the Python core, where the native one runs all others, and with it built
# to find undefined behaviour
python-core: $(VENV)/.dev
	@echo "==> tests of what the native core does, with the Python core"
	@WHYWAIT_CORE=python $(BIN)/python -m pytest tests/tracer/hotpath -q --no-header $(PYTEST_ARGS)

SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g
sanitize: $(VENV)/.dev
	@echo "==> tests of the native core, with sanitizers"
	@WHYWAIT_CFLAGS="$(SANITIZERS)" $(BIN)/python hatch_build.py
	@LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc WHYWAIT_SAMPLER=0 WHYWAIT_CORE=native \
	  $(BIN)/python -m pytest $(OF_CORES) -q --no-header $(PYTEST_ARGS); failed=$$?; \
	  $(BIN)/python hatch_build.py && exit $$failed

traced: $(VENV)/.dev
	@echo "==> tests of the tracer and of known delays, on $$($(BIN)/python --version)"
	@$(BIN)/python -m pytest $(TRACED) -q --no-header $(PYTEST_ARGS)

tests: $(VENV)/.dev jaeger
	@echo "==> tests that may run at once"
	@$(BIN)/python -m pytest $(TOGETHER) $(AT_ONCE) $(PYTEST_ARGS); first=$$?; \
	  echo "==> tests that run one by one"; \
	  $(BIN)/python -m pytest $(addprefix --ignore=,$(TOGETHER)) $(PYTEST_ARGS) && exit $$first

# a real Jaeger for the tests, built once where there is a Go toolchain and kept in .cache
jaeger:
	@testbed/build_jaeger.sh

# `HOST_ARGS=--resume` goes on where a run of the same sources was broken off
host-suites: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.host_suites $(PYTHONS) $(HOST_ARGS)

# writes benchmarks/results/observed.md, with a column for each of PYTHONS that is there
observed-table: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.observed $(PYTHONS)

# the traces that the notebook starts from, of the demo service; committed
recording: $(VENV)/.demo
	@$(BIN)/python -m benchmarks.recording notebooks/recording

# what the notebooks show; committed
notebooks: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.notebook_outputs

# what the docs show, drawn by a real browser from the recording; committed
docs: $(VENV)/.dev
	@$(BIN)/python docs/build.py --out site
	@echo "written: site/index.html"

pictures: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.pictures benchmarks/results/pictures
	@$(BIN)/python -m benchmarks.perfetto_picture benchmarks/results/pictures
	@$(BIN)/python -m benchmarks.jaeger_pictures benchmarks/results/pictures

# `TRUTH_ARGS=--quick` for a slice, `--resume` to go on where a run was broken off, `--mutations`
truth: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.truth $(TRUTH_ARGS)

# what is told of programs as found in bug reports; `STREET_ARGS='NAME --loop uvloop'` for one
street: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.street $(STREET_ARGS)

oldest: $(OLDEST)/.made
	@echo "==> tests of what depends on OpenTelemetry's version, with its oldest"
	@$(OLDEST)/bin/python -m pytest $(OF_OTEL) -q --no-header $(PYTEST_ARGS)

$(OLDEST)/.made: $(BUILT_FROM)
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[analysis]' $(OLDEST_OTEL) \
	  fastapi 'uvicorn[standard]' httpx hypothesis pytest pytest-timeout websockets xgboost-cpu scikit-learn psutil
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) .cache .pytest_cache .mypy_cache .ruff_cache
