# Needs python3 (3.11 or newer) with venv and pip; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
# Compiled XLA programs are kept between runs; tests trade their speed for compile time.
# So are the smallest: what tests call op by op, after a worker has cleared its memory and in another.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
# XLA's newer emitters of fused loops compile twice as long as its older ones.
TEST_FLAGS := --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true \
	--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1 \
	--xla_force_host_platform_device_count=8

# A worker that crashes ends the run by name: replaced, it may leave the others waiting for ever.
WORKERS := -n 2 --max-worker-restart=0
QUICK := tests/functional tests/learners tests/play \
	$(filter-out tests/test_contract% tests/test_do%,$(wildcard tests/test_*.py))

.PHONY: demo test quick test-slow test-slurm lint bench clean

demo: .venv/run  ## Sweep mean-field Q-learning on the battle; writes runs/battle_mfq/report.html
	$(BIN)/jaxmarl-core sweep experiments/specs/battle_mfq.toml $(ARGS)

test: .venv/dev  ## Everything but what is marked slow; minutes
	XLA_FLAGS="$(TEST_FLAGS)" $(BIN)/python -m pytest $(WORKERS) -m "not slow" $(ARGS)

quick: .venv/dev  ## For the one who edits: the parts, and the contract's words
	XLA_FLAGS="$(TEST_FLAGS)" $(BIN)/python -m pytest $(WORKERS) -m "not slow" $(QUICK) $(ARGS)

test-slow: .venv/dev  ## What proves learning, with seeds
	XLA_FLAGS="--xla_force_host_platform_device_count=8" $(BIN)/python -m pytest -m slow $(ARGS)

test-slurm: .venv/dev  ## Sweeps on a real SLURM of this machine alone, where apt can install it
	which slurmctld sbatch munged || apt-get install -y --no-install-recommends slurm-wlm munge
	$(BIN)/python -m pytest -m slow tests/launch/test_slurm.py $(ARGS)

bench: .venv/dev  ## Throughput, beside the reference engine in the same run
	$(BIN)/python -m jaxmarl_core.experiments.benchmarks $(ARGS)

lint: .venv/dev  ## Style, types, and imports that point down the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

clean:
	rm -rf .venv .cache build dist *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch .venv/run $@
