"""The Ising model as a game: every site of a torus is an agent that wants its neighbours' spin."""

from collections.abc import Mapping
from math import isfinite, log, sqrt

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs import drawing
from jaxmarl_core.envs.mean_field.ising_sampler import Samples, energy, sample
from jaxmarl_core.envs.mean_field.torus import neighbour_mean_action, neighbour_sum, require_torus
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep

NUM_ACTIONS = 2  # down, up
CRITICAL_TEMPERATURE = 1 / log(1 + sqrt(2))  # 1.1346: below it the infinite lattice has an order


@struct.dataclass
class IsingState:
    """The spins, and when."""

    spin: jax.Array  # [L * L] int32, 0 down or 1 up: what was last chosen, or drawn at the start
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class Ising(StateEnvironment):
    """L x L agents on a torus choose their spins at once; agreement with neighbours pays.

    Yang et al., 2018, arXiv:1802.05438, sec. 5.2, as their program plays it: no outer field, all
    agents move in every step, and the reward is computed after everybody has moved.

        r_i = s_i (sum of the four neighbours' s_j) / 2,   s = -1 down, +1 up

    Temperatures are in units of this reward. An agent that knew its neighbours and drew its spin
    from softmax(r / tau) would be one heat-bath update of the Ising model with coupling 1 at
    temperature 2 tau, whose critical value 2.269 is tau = 1.1346 here. Learners do something else:
    they see where the neighbours were and are paid for where they went. `temperature` does not
    enter the game; it is the one at which `equilibrium` samples the model to compare with, it is
    told in the extras, and it is a leaf, so that a sweep may set it beside the learners' own.

    - observation: [n] int32 in 0 ... 4, how many of the four neighbours are up; n = L * L, row by
      row. A table over it and the own action is the paper's tabular mean-field Q.
    - action: [n] int32, 0 down or 1 up.
    - reward: [n] f32 in {-2, -1, 0, 1, 2}.
    - termination: none; `max_steps` sets `last` alone.
    - state: [n] f32, the spins as -1 and 1.
    - mean_action: [n, 2] f32, the mean one-hot spin of the four neighbours; the spins drawn at the
      start count as actions. Its second entry is the observation over 4.
    - extras: "winner" [] int32, always -1; all [] f32: "order", the order parameter |ups - downs|
      / n; "energy" per site with coupling 1, in [-2, 2], which is minus the mean reward of these
      spins; and "temperature".
    """

    temperature: float
    size: int = struct.field(pytree_node=False)  # L
    max_steps: int = struct.field(pytree_node=False)
    start: str = struct.field(pytree_node=False)  # "random" or "ordered"

    @property
    def num_agents(self) -> int:
        """n = L * L."""
        return self.size**2

    @property
    def groups(self) -> Mapping[str, Group]:
        """One group of all."""
        return {"agents": Group(self.num_agents, Discrete(5), Discrete(NUM_ACTIONS))}

    def initial(self, key: Key) -> IsingState:
        """Returns a first state, each spin a fair coin; all up if ordered."""
        n = self.num_agents
        up = jax.random.bernoulli(key, shape=(n,)) if self.start == "random" else jnp.ones(n, bool)
        return IsingState(up.astype(jnp.int32), jnp.int32(0))

    def advance(self, key: Key, state: IsingState, actions: Actions) -> IsingState:
        """Returns the state in which every site has the spin its agent chose."""
        return IsingState(actions["agents"].astype(jnp.int32), state.time + 1)

    def observe(self, state: IsingState) -> TimeStep:
        """Returns what the agents see."""
        n, spins = self.num_agents, self._spins(state)
        field = neighbour_sum(spins)
        reward = jnp.where(state.time > 0, spins * field / 2, 0.0)
        return TimeStep(
            observation={"agents": (field.reshape(-1).astype(jnp.int32) + 4) // 2},
            action_mask={},
            alive={"agents": jnp.ones(n, bool)},
            state=spins.reshape(-1),
            reward={"agents": reward.reshape(-1)},
            discount={"agents": jnp.ones(n, jnp.float32)},
            last=state.time >= self.max_steps,
            mean_action=self.mean_action(state, {"agents": state.spin}),
            extras={
                "winner": jnp.int32(-1),
                "order": jnp.abs(jnp.mean(spins)),
                "energy": energy(spins),
                "temperature": jnp.asarray(self.temperature, jnp.float32),
            },
        )

    def mean_action(self, state: IsingState, actions: Actions) -> dict[str, jax.Array]:
        """Returns the neighbours' mean one-hot action, [n, 2], if `actions` are played now."""
        return self._mean_action(actions)

    def equilibrium(
        self, key: Key, *, num_sweeps: int = 1000, num_burn_in: int = 1000, rule: str = "heat_bath"
    ) -> Samples:
        """Returns samples of the Ising model at `temperature` on this lattice; see `sample`."""
        return sample(
            key,
            self.temperature,
            size=self.size,
            num_sweeps=num_sweeps,
            num_burn_in=num_burn_in,
            rule=rule,
        )

    def mean_action_at(self, timestep: TimeStep, actions: Actions) -> dict[str, jax.Array]:
        """Returns `mean_action` as agents can tell it, who are shown time steps."""
        return self._mean_action(actions)

    def render(self, state: IsingState) -> jax.Array:
        """Returns an image [H, W, 3] uint8: up is red, down is blue; the order as a percentage."""
        side = max(2, 240 // self.size)
        up = state.spin.reshape(self.size, self.size, 1) == 1
        colours = jnp.where(up, jnp.array(drawing.RED), jnp.array(drawing.BLUE))
        image = drawing.cells(colours, side, gap=1 if side >= 8 else 0)
        width = max(image.shape[1], 200)
        spare = width - image.shape[1]
        image = jnp.pad(image, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)), mode="edge")
        foot = drawing.canvas(24, width)
        foot = drawing.write(foot, "order", (28, 12))
        foot = drawing.write_number(foot, 100 * jnp.abs(jnp.mean(2.0 * up - 1)) + 0.5, (64, 12))
        foot = drawing.write(foot, "%", (86, 12))
        foot = drawing.write(foot, "step", (width - 74, 12))
        foot = drawing.write_number(foot, state.time, (width - 32, 12), digits=6)
        return drawing.finish(jnp.concatenate([image, foot]))

    def _mean_action(self, actions: Actions) -> dict[str, jax.Array]:
        return {"agents": neighbour_mean_action(actions["agents"], self.size, NUM_ACTIONS)}

    def _spins(self, state: IsingState) -> jax.Array:
        return (2 * state.spin - 1).astype(jnp.float32).reshape(self.size, self.size)


def ising(
    size: int = 20,
    *,
    temperature: float = 1.0,
    max_steps: int = 10_000,
    start: str = "random",
) -> Ising:
    """Returns the Ising model as a game.

    Args:
      size: L, agents along a side, at least 3; 20 in the paper.
      temperature: above 0, in units of the reward; that of the model to compare learners with,
        see `Ising`. It does not change the game.
      max_steps: the time limit, at least 1.
      start: "random", each first spin a fair coin, or "ordered", all up.

    Raises:
      ValueError: naming the argument.
    """
    require_torus(size)
    require(temperature > 0 and isfinite(temperature), "temperature", "above 0", temperature)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    lookup(dict.fromkeys(("random", "ordered")), start, "start")
    return Ising(temperature=temperature, size=size, max_steps=max_steps, start=start)
