"""A policy as StableHLO: one file that `jax.export.deserialize` calls, without this library.

    call = jax.export.deserialize(Path("policy.stablehlo").read_bytes()).call
    outputs = call({"observation.agents": ..., "alive.agents": ...})     # see policy_function

The parameters are in it; the number of environments is free. What it was serialised with, JAX
promises to read for six months, https://docs.jax.dev/en/latest/export/export.html.
"""

import jax
import jax.export

from jaxmarl_core.store.policy_function import PolicyFunction, batched

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(function: PolicyFunction) -> bytes:
    """Returns the policy's function, serialised, for CPUs, NVIDIA's GPUs and TPUs."""
    (size,) = jax.export.symbolic_shape("batch")
    export = jax.export.export(jax.jit(function.call), platforms=PLATFORMS)
    return bytes(export(batched(function.inputs, size)).serialize())
