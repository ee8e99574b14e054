"""Many runs as one program: every row of hyper-parameters with every seed, sharded over devices.

Runs are the batch axis (`vmap`) and the sharded axis (`shard_map` over a mesh axis named "run").
Devices never speak to each other: no collective, and no loop waits for another device's.
"""

import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jaxmarl_core.hparams import num_rows


def run_mesh(devices: Any = None) -> Mesh:
    """Returns a mesh of all (or the given) devices with the one axis "run"."""
    # not jax.make_mesh: under its explicit axes a vmapped train does not compile
    return Mesh(jax.devices() if devices is None else devices, ("run",))


def sharded(function: Callable, mesh: Mesh, in_axes: tuple, donate: tuple = ()) -> Callable:
    """Returns `function` of one run as a jitted function of R runs, spread over the mesh.

    Args:
      function: of one run.
      mesh: with the axis "run"; R must be a multiple of its size.
      in_axes: per argument 0 (one a run, leading axis R) or None (the same for all runs).
      donate: the arguments whose memory the result may take.
    """
    specs = tuple(PartitionSpec() if axis is None else PartitionSpec("run") for axis in in_axes)
    many = jax.shard_map(
        jax.vmap(function, in_axes),
        mesh=mesh,
        in_specs=specs,
        out_specs=PartitionSpec("run"),
        check_vma=False,
    )
    return jax.jit(many, donate_argnums=donate)


# train -> mesh -> what `sharded` made of both. JAX keeps compiled programs by the function that was
# compiled, so that a second call must find the same one. It is forgotten with its `train`.
_SWEPT: weakref.WeakKeyDictionary[Callable, dict[Mesh, Callable]] = weakref.WeakKeyDictionary()


def swept(train: Callable, mesh: Mesh) -> Callable:
    """Returns `sharded(train, mesh, (0, 0))`, the same each time, as long as `train` lives."""
    try:
        programs = _SWEPT.setdefault(train, {})
    except TypeError:  # no hash, or no weak reference, as of a dataclass of arrays
        return sharded(train, mesh, (0, 0))
    if mesh not in programs:
        reference = weakref.ref(train)  # a strong one would keep the key alive by its own value

        def run(key, hparams):
            function = reference()
            assert function is not None  # whoever calls holds it
            return function(key, hparams)

        programs[mesh] = sharded(run, mesh, (0, 0))
    return programs[mesh]


def pairs(keys: jax.Array, hparams: Any) -> tuple[jax.Array, Any]:
    """Returns keys [H*S] and hparams with leaves [H*S]: every row with every key, keys fastest."""
    num_keys, num_hparams = len(keys), num_rows(hparams)
    all_hparams = jax.tree.map(lambda leaf: jnp.repeat(leaf, num_keys, axis=0), hparams)
    return jnp.tile(keys, num_hparams), all_hparams


def pad(tree: Any, multiple: int) -> Any:
    """Returns the pytree with its leading axis rounded up to a multiple, repeating the last row."""

    def one(leaf):
        extra = -len(leaf) % multiple
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], extra, axis=0)]) if extra else leaf

    return jax.tree.map(one, tree)


def sweep(train: Callable, keys: jax.Array, hparams: Any, mesh: Mesh | None = None) -> Any:
    """Returns (states, metrics) of `train` for each of H hparams with each of S keys.

    It is compiled once for a `train`, a mesh and the numbers of hparams and keys: hold on to the
    `train` that is swept again, as one that `make_train` makes anew is another function.

    Args:
      train: maps (key, hparams) to (state, metrics), as `make_train` makes it.
      keys: [S] typed PRNG keys.
      hparams: a struct with leaves [H], as hparams.grid, table or sample make it.
      mesh: devices to spread the runs over; all by default.

    Returns:
      What `train` returns, with leading axes [H, S].
    """
    mesh = run_mesh() if mesh is None else mesh
    num_keys, num_hparams = len(keys), num_rows(hparams)
    runs = pad(pairs(keys, hparams), mesh.size)
    out = swept(train, mesh)(*runs)

    def fold(leaf):
        return leaf[: num_hparams * num_keys].reshape(num_hparams, num_keys, *leaf.shape[1:])

    return jax.tree.map(fold, out)
