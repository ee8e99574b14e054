"""A policy that leaves the sweep: a folder with its numbers, its description and its function.

policy.json             what it is, and what its function takes and returns
params.safetensors      its parameters; with policy.json, `load_policy` reads them back
memory.safetensors      what its agents remember when an episode begins, where they do
policy.stablehlo        its function for `jax.export`, see store/policy_stablehlo.py
policy.onnx             its function for onnxruntime and others, see store/policy_onnx.py
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.store import atomic
from jaxmarl_core.store.policy_file import to_safetensors, write_policy
from jaxmarl_core.store.policy_function import (
    PolicyFunction,
    differences,
    observed,
    policy_function,
)
from jaxmarl_core.store.policy_onnx import draws, onnx_inputs, run_onnx, to_onnx
from jaxmarl_core.store.policy_stablehlo import to_stablehlo
from jaxmarl_core.sweeps.saved_run import SavedRun, store_opponents

FORMATS = ("safetensors", "stablehlo", "onnx")
NUM_CHECKED = 100  # observations
MOST_DISTANCE = 1e-4  # of an answer in another format from the policy's own


def export_policy(
    run: SavedRun, out: Path, formats: Sequence[str] = FORMATS[:2], greedy: bool = True
) -> dict[str, float]:
    """Writes a policy to a new folder; returns format -> how far its answers are from ours.

    Args:
      run: whose policy.
      out: the folder, new or empty.
      formats: of FORMATS; "safetensors", with the description, is always written.
      greedy: whether the function takes the policy's mode, or draws from it.

    Raises:
      ValueError: `out` has something in it, an unknown format, or one that cannot hold the policy,
        or answers otherwise.
    """
    for name in formats:
        lookup(dict.fromkeys(FORMATS), name, "formats")
    is_new = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    require(is_new, "out", "a new folder", out)
    policy = run.algorithm.policy
    function = policy_function(policy, run.params, run.env, greedy)
    programs = {name: MAKERS[name](function) for name in formats if name in MAKERS}
    key = jax.random.key(0)
    inputs = observed(policy, run.params, run.env, function, key, NUM_CHECKED)
    ours = jax.jit(function.call)(inputs)
    found = {
        name: float(np.max([*differences(ours, CALLERS[name](program, function, inputs)).values()]))
        for name, program in programs.items()
    }
    for name, distance in found.items():
        same = distance <= MOST_DISTANCE  # which no NaN is
        within = f"answers within {MOST_DISTANCE:g} of the policy's own"
        require(same, f"formats: {name}", within, f"{distance:g} beside them; nothing is written")
    out.mkdir(parents=True, exist_ok=True)
    for name, program in programs.items():
        atomic.write(out / f"policy.{name}", program)
    if function.memory:
        atomic.write(out / "memory.safetensors", to_safetensors(function.memory))
    description = run.description | {"function": _signature(function, "onnx" in formats, greedy)}
    store_opponents(out, run.opponents)
    write_policy(out, description, run.params)
    return found


def _signature(function: PolicyFunction, with_onnx: bool, greedy: bool) -> dict[str, Any]:
    """Returns what the exported functions take and return, for people and programs to read."""
    sides = {"inputs": function.inputs, "outputs": function.outputs}
    if with_onnx:
        sides["onnx_inputs"] = onnx_inputs(function)
    shape = lambda x: {"shape": ["batch", *x.shape], "dtype": str(x.dtype)}
    said = {side: {name: shape(x) for name, x in own.items()} for side, own in sides.items()}
    return {"greedy": greedy, **said}


def _call_stablehlo(program: bytes, function: PolicyFunction, inputs: dict) -> dict:
    return dict(jax.export.deserialize(bytearray(program)).call(inputs))


def _call_onnx(program: bytes, function: PolicyFunction, inputs: dict) -> dict:
    return run_onnx(program, inputs | draws(function, inputs), list(function.outputs))


MAKERS = {"stablehlo": to_stablehlo, "onnx": to_onnx}
CALLERS = {"stablehlo": _call_stablehlo, "onnx": _call_onnx}
