# `make train` and `make test` each set up what they need on a fresh machine, then do their job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: train test check lint setup benchmarks kill-test five-seeds classic accurate docs accuracy exhaustive kernel-tests kernel-benchmarks sequence-benchmarks comparison-tests comparison-benchmarks clean

train: setup  ## AlexNet on the real Fashion-MNIST, then the report
	$(BIN)/actlab train alexnet

test: setup  ## every test, on as many processes as there are cores, four at most: what CI runs
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: lint test

lint: setup
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/basedpyright

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Actlab needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || \
		{ rm -rf $(VENV); echo "expected a Python that can make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV); the first time this takes a minute or more"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

benchmarks: setup  ## speed beside the notes' code path, and fit() beside a bare loop
	$(BIN)/python benchmarks/alexnet.py
	$(BIN)/python benchmarks/overhead.py

kill-test: setup  ## kill -9 at 20 random moments, with one process and with two
	$(BIN)/python benchmarks/kill.py

five-seeds: setup  ## the fast recipe, five seeds
	$(BIN)/python benchmarks/recipe_runs.py fast --seeds 5

classic: setup  ## the notes' recipe in full: more than an hour on two cores
	$(BIN)/python benchmarks/recipe_runs.py classic

accurate: setup  ## ten epochs for the best accuracy: an hour on two cores
	$(BIN)/python benchmarks/recipe_runs.py accurate

docs: setup  ## the pages of the catalogue, from its entries
	$(BIN)/python docs/make_catalogue.py

accuracy: setup  ## errors of every activation beside torch's: both half types in full, two million float32 inputs; some minutes
	$(BIN)/python benchmarks/accuracy.py

exhaustive: setup  ## all 2^32 float32 inputs of seven activations: an hour
	$(BIN)/python benchmarks/exhaustive.py

kernel-tests: setup  ## the contract of every entry on the path of its kernels: compiles them all
	ACTLAB_KERNELS=all $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal tests/test_kernels.py tests/test_kernels_gpu.py tests/test_kernels_gated.py tests/test_kernels_vectors.py tests/test_near.py tests/test_lean.py

kernel-benchmarks: setup  ## activations and networks: eager, torch.compile and ours, in turn; an hour
	$(BIN)/python benchmarks/activations.py
	$(BIN)/python benchmarks/bounds.py
	$(BIN)/python benchmarks/block.py
	$(BIN)/python benchmarks/vectors.py

sequence-benchmarks: setup  ## recipes for sentences, speech and series with three seeds, recurrent layers, gradient through time: two hours
	$(BIN)/python benchmarks/recurrent.py
	$(BIN)/python benchmarks/gradient_through_time.py
	$(BIN)/python benchmarks/sequences.py

comparison-tests: setup  ## whether comparisons may be trusted, in full, and on a Ray cluster of two nodes: some minutes
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cluster]'
	ACTLAB_TRUST=1 $(BIN)/python -m pytest tests/test_comparison_trust.py tests/test_cluster.py

comparison-benchmarks: setup  ## whether comparisons may be trusted, trainings in one batch, what watching costs: an hour
	$(BIN)/python benchmarks/comparing.py
	$(BIN)/python benchmarks/batched.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/watching.py

clean:  ## everything that can be made again; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
