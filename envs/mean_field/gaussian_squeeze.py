"""The Gaussian squeeze: many agents each give a little, and the sum should be just right."""

from collections.abc import Mapping
from math import exp, isfinite, sqrt

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep


@struct.dataclass
class SqueezeState:
    """What was last given, and when."""

    action: jax.Array  # [N] int32, of the step before; -1 before the first
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class GaussianSqueeze(StateEnvironment):
    """N agents choose 0 ... A - 1 at once; all earn G(x) of the sum x, a game without a state.

        G(x) = x exp(-(x - mu)^2 / sigma^2)

    HolmesParker et al., 2014 (resource allocation); with one Gaussian, mu 400 and sigma 200, as in
    Yang et al., 2018, arXiv:1802.05438, sec. 5.1, for N of 100, 500 and 1000. G is paid as it is,
    unscaled: up to 423 with these numbers (`optimum`).

    - observation: [N] int32, always 0, in Discrete(1).
    - action: [N] int32 in 0 ... A - 1, what the agent gives.
    - reward: [N] f32, G of the sum, the same for all.
    - termination: none; `max_steps` sets `last` alone.
    - state: [A] f32, the share of agents that chose each action last; zero before the first step.
    - mean_action: [N, A] f32, the mean one-hot action of all other agents in the last step; zero
      before the first.
    - extras: "winner" [] int32, always -1; "sum" [] f32, x; 0 before the first step.
    """

    mu: float
    sigma: float
    num_agents: int = struct.field(pytree_node=False)  # N
    num_actions: int = struct.field(pytree_node=False)  # A
    max_steps: int = struct.field(pytree_node=False)

    @property
    def groups(self) -> Mapping[str, Group]:
        """One group of all."""
        return {"agents": Group(self.num_agents, Discrete(1), Discrete(self.num_actions))}

    def initial(self, key: Key) -> SqueezeState:
        """Returns the state before the first step."""
        return SqueezeState(jnp.full(self.num_agents, -1, jnp.int32), jnp.int32(0))

    def advance(self, key: Key, state: SqueezeState, actions: Actions) -> SqueezeState:
        """Returns the state after one more step."""
        return SqueezeState(actions["agents"].astype(jnp.int32), state.time + 1)

    def observe(self, state: SqueezeState) -> TimeStep:
        """Returns what the agents see."""
        n = self.num_agents
        total = self._sum(state)
        reward = jnp.where(state.time > 0, squeeze(total, self.mu, self.sigma), 0.0)
        return TimeStep(
            observation={"agents": jnp.zeros(n, jnp.int32)},
            action_mask={},
            alive={"agents": jnp.ones(n, bool)},
            state=self._counts(state.action) / n,
            reward={"agents": jnp.full(n, reward, jnp.float32)},
            discount={"agents": jnp.ones(n, jnp.float32)},
            last=state.time >= self.max_steps,
            mean_action=self.mean_action(state, {"agents": state.action}),
            extras={"winner": jnp.int32(-1), "sum": total},
        )

    def mean_action(self, state: SqueezeState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the others' mean one-hot action, [N, A], if `actions` are played now."""
        return self._mean_action(actions)

    def mean_action_at(self, timestep: TimeStep, actions: Actions) -> dict[str, jax.Array]:
        """Returns `mean_action` as agents can tell it, who are shown time steps."""
        return self._mean_action(actions)

    def render(self, state: SqueezeState) -> jax.Array:
        """Returns an image [H, W, 3] uint8: who gave what, and where the sum falls on the curve.

        Above, a bar per action, the taller the more agents chose it. Below, G over all sums that
        can be reached: a green line at the best, a red dot at the sum of the last step.
        """
        width, height, left, top = 400, 110, 10, 24
        image = drawing.canvas(2 * height + 100, width)
        image = drawing.write(image, "agents per action", (70, 12))

        share = self._counts(state.action) / jnp.maximum(jnp.max(self._counts(state.action)), 1)
        slot = (width - 2 * left) / self.num_actions
        column = jnp.arange(width) - left
        action = jnp.clip(column // slot, 0, self.num_actions - 1).astype(jnp.int32)
        off_middle = jnp.abs(column + 0.5 - (action + 0.5) * slot)
        y = jnp.arange(image.shape[0])[:, None]
        floor = top + height
        bar = (off_middle < 0.4 * slot) & (y < floor) & (y >= floor - share[action] * (height - 4))
        image = drawing.paint(image, bar * 1.0, drawing.BLUE)
        image = drawing.segment(image, (left, floor), (width - left, floor), drawing.INK)
        for each in range(self.num_actions) if self.num_actions <= 20 else ():
            image = drawing.write(image, str(each), (left + (each + 0.5) * slot, floor + 9))

        most = self.num_agents * (self.num_actions - 1)
        sums = jnp.linspace(0.0, most, width - 2 * left)
        curve = squeeze(sums, self.mu, self.sigma)
        best = jnp.argmax(curve)
        floor = 2 * height + 70
        place = lambda value: floor - value / curve[best] * (height - 10)
        padded = jnp.pad(place(curve), left, constant_values=floor)
        image = drawing.write(image, "reward over the sum", (78, floor - height - 10))
        under = (y >= padded) & (y < floor) & (column >= 0) & (column < width - 2 * left)
        image = drawing.paint(image, under * 1.0, drawing.PALE)
        image = drawing.segment(image, (left, floor), (width - left, floor), drawing.INK)
        foot, head = (left + best, floor), (left + best, floor - height + 10)
        image = drawing.segment(image, foot, head, drawing.GREEN)
        total = self._sum(state)
        x = left + total / most * (width - 2 * left - 1)
        value = squeeze(total, self.mu, self.sigma)
        played = state.time > 0
        image = drawing.disc(image, (x, place(value)), 5, drawing.RED, opacity=played)
        image = drawing.write(image, "sum", (40, floor + 18), drawing.RED)
        image = drawing.write_number(image, total, (85, floor + 18), drawing.RED, digits=5)
        image = drawing.write(image, "reward", (170, floor + 18), drawing.RED)
        image = drawing.write_number(
            image, jnp.round(value) * played, (222, floor + 18), drawing.RED, digits=5
        )
        image = drawing.write(image, "best", (310, floor + 18), drawing.GREEN)
        image = drawing.write_number(
            image, jnp.round(curve[best]), (350, floor + 18), drawing.GREEN, digits=5
        )
        return drawing.finish(image)

    def _mean_action(self, actions: Actions) -> dict[str, jax.Array]:
        own = jax.nn.one_hot(actions["agents"], self.num_actions)
        return {"agents": (jnp.sum(own, 0) - own) / (self.num_agents - 1)}

    def _counts(self, action: jax.Array) -> jax.Array:
        return jnp.sum(jax.nn.one_hot(action, self.num_actions), 0)

    def _sum(self, state: SqueezeState) -> jax.Array:
        return jnp.sum(jnp.maximum(state.action, 0)).astype(jnp.float32)


def squeeze(total: jax.Array, mu: float | jax.Array, sigma: float | jax.Array) -> jax.Array:
    """Returns G(x) = x exp(-(x - mu)^2 / sigma^2) of sums x [...]."""
    return total * jnp.exp(-(((total - mu) / sigma) ** 2))


def optimum(
    num_agents: int, num_actions: int = 10, mu: float = 400.0, sigma: float = 200.0
) -> tuple[int, float]:
    """Returns (the best sum that can be reached, what it pays), exactly. On the host.

    G'(x) = 0 where 2 x (x - mu) = sigma^2, of which one root is positive: G rises up to it and
    falls beyond, and every integer up to N (A - 1) is the sum of some joint action.
    """
    peak = (mu + sqrt(mu**2 + 2 * sigma**2)) / 2
    below = min(int(np.floor(peak)), num_agents * (num_actions - 1))
    beside = min(below + 1, num_agents * (num_actions - 1))
    pays = lambda x: x * exp(-(((x - mu) / sigma) ** 2))
    best = max(below, beside, key=pays)
    return best, pays(best)


def gaussian_squeeze(
    num_agents: int = 100,
    *,
    num_actions: int = 10,
    mu: float = 400.0,
    sigma: float = 200.0,
    max_steps: int = 100,
) -> GaussianSqueeze:
    """Returns the Gaussian squeeze.

    Args:
      num_agents: N, at least 2; the paper plays 100, 500 and 1000.
      num_actions: A, at least 2.
      mu: the middle of the Gaussian; the best sum lies a little above.
      sigma: its width, above 0.
      max_steps: the time limit, at least 1. A step is a whole game; episodes are longer than that
        so that agents can see what the others did the step before.

    Raises:
      ValueError: naming the argument.
    """
    require(num_agents >= 2, "num_agents", "at least 2", num_agents)
    require(num_actions >= 2, "num_actions", "at least 2", num_actions)
    require(isfinite(mu), "mu", "a finite number", mu)
    require(sigma > 0 and isfinite(sigma), "sigma", "above 0", sigma)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    return GaussianSqueeze(
        mu=mu, sigma=sigma, num_agents=num_agents, num_actions=num_actions, max_steps=max_steps
    )
