"""Accelerators that programs can be compiled for where there is none: H200, A100, TPU v5e.

XLA needs a description of a GPU, and its compiler for it: the extra `aot` installs both, and the
TPU's. Nothing can be run on such a device.
"""

import os
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxmarl_core.errors import lookup, package
from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.memory import GIB


class Device(NamedTuple):
    """What there is to know of an accelerator."""

    title: str
    platform: str  # "cuda" or "tpu"
    num_bytes: int  # of its memory
    product_flops: float  # a second, of float32 products at JAX's default precision there
    bandwidth: float  # bytes a second
    launch_seconds: float  # of a kernel that does nothing, one after another
    description: str  # a GPU: as XLA reads it; a TPU: the name of its topology


def _gpu(title: str, capability: tuple[int, int], **told: int | float) -> str:
    """Returns XLA's description of a GPU, a protocol buffer as text."""
    limits = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 48 * 1024,
        "threads_per_core_limit": 2048,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 65535,
        "block_dim_limit_z": 65535,
        "registers_per_core_limit": 65536,
        "registers_per_block_limit": 65536,
    }
    major, minor = capability
    lines = [f"  {name}: {value}" for name, value in (limits | told).items()]
    lines.append(f"  cuda_compute_capability {{ major: {major} minor: {minor} }}")
    return "\n".join(
        [
            "gpu_device_info {",
            *lines,
            "}",
            'platform_name: "CUDA"',
            "dnn_version_info { major: 9 minor: 10 patch: 0 }",
            f'device_description_str: "{title}"',
        ]
    )


# Figures of NVIDIA's data sheets and white papers (products in TF32, without sparsity), and of
# Google's page of the v5e (products in bfloat16, as JAX takes float32 there by default).
DEVICES = {
    "h200": Device(
        "NVIDIA H200", "cuda", 141 * GIB, 494e12, 4.8e12, 2e-6,
        _gpu(
            "NVIDIA H200 141GB HBM3e", (9, 0), shared_memory_per_core=233472,
            shared_memory_per_block_optin=232448, core_count=132, fpus_per_core=128,
            memory_bandwidth=4_800_000_000_000, l2_cache_size=50 * 2**20, clock_rate_ghz=1.98,
            device_memory_size=141 * GIB,
        ),
    ),
    "a100": Device(
        "NVIDIA A100", "cuda", 80 * GIB, 156e12, 2.039e12, 2e-6,
        _gpu(
            "NVIDIA A100-SXM4-80GB", (8, 0), shared_memory_per_core=167936,
            shared_memory_per_block_optin=166912, core_count=108, fpus_per_core=64,
            memory_bandwidth=2_039_000_000_000, l2_cache_size=40 * 2**20, clock_rate_ghz=1.41,
            device_memory_size=80 * GIB,
        ),
    ),
    "v5e": Device("TPU v5e", "tpu", 16 * GIB, 197e12, 0.819e12, 1e-6, "v5e:2x2x1"),
}  # fmt: skip


def mesh_of(name: str) -> tuple[Mesh, Device | None]:
    """Returns a mesh to compile for: all devices here for "", or one of DEVICES that is not here.

    Raises:
      ValueError: an unknown name, or the compiler for it is not installed.
    """
    if not name:
        return run_mesh(), None
    device = lookup(DEVICES, name, "device")
    from jax.experimental import topologies  # reads much that nothing else needs

    if device.platform == "tpu":
        package("libtpu", "aot", "device")
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no TPU's machine to ask
        described: Any = topologies.get_topology_desc(
            platform="tpu", topology_name=device.description
        )
    else:
        package("jax_plugins.xla_cuda12", "aot", "device")
        described = topologies.get_topology_desc(
            platform="cuda",
            topology_name="",
            topology="1x1x1",
            target_config=device.description,
        )
    return run_mesh(np.array(described.devices[:1])), device


def describe(mesh: Mesh, device: Device | None) -> str:
    """Returns the devices of a mesh in words, such as "2 x cpu" or "NVIDIA H200"."""
    if device is not None:
        return f"{device.title}, compiled for without one"
    kinds = {device.device_kind for device in mesh.devices.flat}
    return f"{mesh.size} x {', '.join(sorted(kinds))}"
