"""Networks: from an observation to features, with a memory that is taken and returned.

One convention serves all: `(memory, features) = torso(memory, observation)`. A feed-forward torso
carries `()`, a recurrent one [..., h]; there is no recurrent copy of an algorithm.

Weights start scaled-normal, never orthogonal: a batch of QR factorisations (one per run of a
sweep) has hung XLA's thread pool on small CPUs. The variance is that of the orthogonal start.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxmarl_core.learners.parted import PartedDense, PartedVector, parted_vector
from jaxmarl_core.spaces import Box, Composite, Space, flatten, is_bounded

Activation = Callable[[jax.Array], jax.Array]


def apply(network: nn.Module, params: Any, *inputs: Any) -> Any:
    """Returns what a network makes of its inputs, whatever that is.

    flax types its own `apply` for networks that may also return new variables; ours never do.
    """
    return network.apply(params, *inputs)


def scaled_normal(gain: float = 1.0) -> nn.initializers.Initializer:
    """Returns an initialiser: normal with standard deviation gain / sqrt(number of inputs)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def head(size: int, gain: float = 0.01, name: str | None = None) -> nn.Dense:
    """Returns a linear output layer [..., F] -> [..., size].

    A policy that starts with small outputs starts near uniform, whatever its features say
    (Andrychowicz et al., 2021, arXiv:2006.05990, section 3.2); for a value, gain 1 is usual.
    """
    return nn.Dense(size, kernel_init=scaled_normal(gain), name=name)


class MLP(nn.Module):
    """Dense layers [..., F] -> [..., features[-1]], `gain` being that of every layer's weights.

    From a PartedVector of [..., F] it leads to rows [R, features[-1]].
    """

    features: Sequence[int]
    activation: Activation = nn.tanh
    activate_final: bool = True
    gain: float = 2**0.5
    layer_norm: bool = False  # after every activation

    @nn.compact
    def __call__(self, x: jax.Array | PartedVector) -> jax.Array:
        for i, size in enumerate(self.features):
            options = {"kernel_init": scaled_normal(self.gain), "name": f"Dense_{i}"}
            dense = PartedDense if isinstance(x, PartedVector) else nn.Dense
            y: jax.Array = dense(size, **options)(x)
            if self.activate_final or i + 1 < len(self.features):
                y = self.activation(y)
                y = nn.LayerNorm()(y) if self.layer_norm else y
            x = y
        return x.joined() if isinstance(x, PartedVector) else x


def patches(x: jax.Array, kernel: int, stride: int = 1) -> jax.Array:
    """Returns all windows of an image, laid out flat.

    Args:
      x: [..., H, W, C].
      kernel: side of a window, at most H and W.
      stride: distance between windows.

    Returns:
      [..., H', W', kernel * kernel * C], H' = (H - kernel) // stride + 1; row, column, channel.
    """
    height, width = x.shape[-3:-1]
    rows = (height - kernel) // stride * stride + 1
    columns = (width - kernel) // stride * stride + 1
    shifted = [
        x[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(kernel)
        for j in range(kernel)
    ]
    return jnp.concatenate(shifted, axis=-1)


class CNN(nn.Module):
    """Convolutions without padding, flattened: [..., H, W, C] -> [..., F].

    Each is one matrix product with the windows of its input. For one set of weights that is the
    same as `nn.Conv(..., padding="VALID")`; for a batch of them (a sweep's runs) it stays a
    batched matrix product, where a convolution becomes a grouped one. Two layers of 16 channels on
    images [13, 13, 7], forward and backward, on two CPU cores: 1 run of batch 256 takes 24 ms here
    and 22 ms with nn.Conv, 8 such runs 450 and 740 ms, 64 runs of batch 32 250 and 590 ms. The
    price is memory: windows hold kernel^2 times the input, kept for the backward pass.
    """

    channels: Sequence[int]
    kernel: int = 3
    stride: int = 1
    activation: Activation = nn.relu
    gain: float = 2**0.5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for size in self.channels:
            if min(x.shape[-3:-1]) < self.kernel:
                raise ValueError(
                    f"channels: expected layers that leave at least {self.kernel} x {self.kernel}"
                    f" to the next, got an input of {x.shape[-3]} x {x.shape[-2]}"
                )
            x = nn.Dense(size, kernel_init=scaled_normal(self.gain))(
                patches(x, self.kernel, self.stride)
            )
            x = self.activation(x)
        return x.reshape(*x.shape[:-3], -1)


class GRU(nn.Module):
    """A gated recurrent unit: (memory [..., h], x [..., F]) -> (memory, out), both [..., h].

        r, z = sigmoid(W x + U h + b),   n = tanh(W x + b + r * (U h + c)),   h' = (1 - z) n + z h

    Along time, x [T, ..., F] with `reset` [T, ...], the input's share is one product for all steps;
    see `unroll_gru` for the rest. Cho et al., 2014, arXiv:1406.1078.
    """

    features: int

    @nn.compact
    def __call__(
        self, memory: jax.Array, x: jax.Array, reset: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        h = self.features
        dense = nn.Dense(3 * h, kernel_init=scaled_normal(1.0), name="input")
        x = dense(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], 3 * h)
        # flax starts the recurrent weights orthogonal; see the top of this file
        kernel = self.param("recurrent", scaled_normal(1.0), (h, 3 * h), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (h,), jnp.float32)
        # a loop keeps its carry's type: the widest of all
        dtype = jnp.result_type(memory, x, kernel)
        kernel, bias, memory, x = (each.astype(dtype) for each in (kernel, bias, memory, x))
        if reset is None:
            memory, _ = _gru_step(kernel, bias, memory, _gates(x))
            return memory, memory
        reset = reset.reshape(reset.shape + (1,) * (memory.ndim - reset.ndim + 1))
        return unroll_gru(kernel, bias, memory, x, reset)


def _gates(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the shares [..., h] of r, z and n in [..., 3 h]."""
    r, z, n = jnp.split(x, 3, axis=-1)
    return r, z, n


def _gru_step(kernel, bias, memory, x):
    """Returns (memory [..., h], what its derivative needs); x: the input's share of each gate."""
    (x_r, x_z, x_n), (r, z, n) = x, _gates(memory @ kernel)
    r, z, inner = nn.sigmoid(x_r + r), nn.sigmoid(x_z + z), n + bias
    n = nn.tanh(x_n + r * inner)
    return (1 - z) * n + z * memory, (r, z, n, inner)


@jax.custom_vjp
def unroll_gru(
    kernel: jax.Array, bias: jax.Array, memory: jax.Array, x: jax.Array, reset: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns (final memory [..., h], memories [T, ..., h]) of a GRU along time.

    Its derivative gathers the recurrent weights' gradient in one product after the loop; derived
    by JAX, the loop would add up a matrix of the weights' size at every step.

    Args:
      kernel: [h, 3 h] f32, recurrent weights of the gates r, z and n.
      bias: [h] f32, of n's recurrent share.
      memory: [..., h] f32, before step 0.
      x: [T, ..., 3 h] f32, the input's share.
      reset: [T, ..., 1] bool, true where step t begins an episode: the memory is zero before it;
        any of its axes after the first may be 1.
    """
    return _unroll_gru(kernel, bias, memory, x, reset)[0]


def _unroll_gru(kernel, bias, memory, x, reset):
    def step(memory, row):
        x, reset = row
        before = jnp.where(reset, 0, memory)
        memory, gates = _gru_step(kernel, bias, before, x)
        return memory, (memory, before, gates)

    # Gates apart: cut out of one row inside the loop, they take XLA on a CPU three times as long.
    final, (memories, before, gates) = jax.lax.scan(step, memory, (_gates(x), reset))
    return (final, memories), (kernel, before, gates, reset)


def _unroll_gru_backward(saved, cotangents):
    kernel, before, (r, z, n, inner), reset = saved
    final, memories = cotangents
    # Each gate's derivative by the memory that it makes, for all steps at once.
    by_n = (1 - z) * (1 - n**2)
    by_r, by_z, by_inner = by_n * inner * r * (1 - r), (before - n) * z * (1 - z), by_n * r
    by_hidden, back = jnp.concatenate([by_r, by_z, by_inner], -1), kernel.T

    def step(carried, row):
        out, by_hidden, z, reset = row
        d = carried + out
        d_hidden = by_hidden * jnp.concatenate([d, d, d], -1)
        return jnp.where(reset, 0, d * z + d_hidden @ back), d

    d_memory, d = jax.lax.scan(step, final, (memories, by_hidden, z, reset), reverse=True)
    d_r, d_z, d_inner, d_n = by_r * d, by_z * d, by_inner * d, by_n * d
    flat = lambda leaf: leaf.reshape(-1, leaf.shape[-1])
    d_kernel = flat(before).T @ flat(jnp.concatenate([d_r, d_z, d_inner], -1))
    d_x = jnp.concatenate([d_r, d_z, d_n], -1)
    return d_kernel, flat(d_inner).sum(0), d_memory, d_x, None


unroll_gru.defvjp(_unroll_gru, _unroll_gru_backward)


def merge_leading_axes(space: Space, observation: Any) -> tuple[Any, tuple[int, ...]]:
    """Returns an observation [..., *space] with one leading axis [R, *space], and what was there.

    Weight gradients are then products of two matrices; over several axes XLA transposes first, and
    a gradient step on a CPU takes up to 1.6 times as long.
    """
    first, leaf = space, observation
    while isinstance(first, Composite):
        name, first = first.items[0]
        leaf = leaf[name]
    leading = leaf.shape[: leaf.ndim - len(first.shape)]
    flat = lambda leaf: leaf.reshape(-1, *leaf.shape[len(leading) :])
    return jax.tree.map(flat, observation), leading


class Encoder(nn.Module):
    """An observation of `space` as one vector [..., F]: images through a CNN, the rest flat.

    A Box of rank 3, [H, W, C], is an image where `channels` are given.
    """

    space: Space
    channels: Sequence[int] = ()
    kernel: int = 3
    stride: int = 1

    @nn.compact
    def __call__(self, observation: Any) -> jax.Array:
        image = self.channels, self.kernel, self.stride
        if isinstance(self.space, Composite):
            parts = [
                Encoder(part, *image, name=name)(observation[name])
                for name, part in self.space.items
            ]
            return jnp.concatenate(parts, axis=-1)
        if isinstance(self.space, Box) and jnp.issubdtype(self.space.dtype, jnp.integer):
            observation = from_integers(self.space, observation)
        if self.channels and isinstance(self.space, Box) and len(self.space.shape) == 3:
            return CNN(*image)(observation.astype(jnp.float32))
        return flatten(self.space, observation)


def from_integers(space: Box, observation: jax.Array) -> jax.Array:
    """Returns an observation of integers as f32, in [0, 1] where its Box is bounded.

    The pixels of a uint8 image would else drown all that stands beside them.
    """
    observation = observation.astype(jnp.float32)
    if is_bounded(space):
        return (observation - space.low) / (space.high - space.low)
    return observation


ACTIVATIONS = {"tanh": nn.tanh, "relu": nn.relu}


class Torso(nn.Module):
    """From an observation to features: encoder, dense layers and, if wanted, a memory.

    `(memory, observation [..., *space]) -> (memory, features [..., F])` with any leading axes, and
    1 for one of a Composite's part that is the same along it; F is `memory_size`, or the last of
    `hidden` if that is 0. With `reset` [T, ...] the observations are those of T steps,
    [T, ..., *space], and so are the features: everything but the memory itself is computed for all
    of them at once. `reset` is true where step t begins an episode, so that the memory is zero
    before it; its axes after time are the first of the memory's.
    """

    space: Space
    hidden: Sequence[int] = (64, 64)
    channels: Sequence[int] = ()
    memory_size: int = 0
    activation: Activation = nn.tanh
    kernel: int = 3  # of the convolutions, as `stride`
    stride: int = 1
    layer_norm: bool = False  # of every dense layer's output; it leaves nothing of an observation
    # of one number, and of one of two no more than which is larger

    @nn.compact
    def __call__(
        self, memory: Any, observation: Any, reset: jax.Array | None = None
    ) -> tuple[Any, jax.Array]:
        image = self.channels, self.kernel, self.stride
        parts = {"observation": (self.space, observation)}
        if isinstance(self.space, Composite):
            parts = {name: (part, observation[name]) for name, part in self.space.items}
        rows, leading = [], []
        for name, (space, seen) in parts.items():
            seen, axes = merge_leading_axes(space, seen)
            rows.append(Encoder(space, *image, name=f"encoder_{name}")(seen))
            leading.append(axes)
        parts = parted_vector(leading, rows)
        whole = parts.rows[0] if len(parts.rows) == 1 else parts
        x = MLP(self.hidden, self.activation, layer_norm=self.layer_norm)(whole)
        x = x.reshape(*parts.shape, x.shape[-1])
        if self.memory_size == 0:
            return memory, x
        return GRU(self.memory_size)(memory, x, reset)


def initial_memory(memory_size: int, batch: tuple[int, ...] = ()) -> Any:
    """Returns the memory at the start of an episode: zeros [*batch, h], or () if h is 0."""
    return jnp.zeros((*batch, memory_size)) if memory_size else ()
