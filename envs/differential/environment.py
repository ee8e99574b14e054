"""Differential games as environments: controls held over a step, dynamics and cost integrated."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.differential.integration import integrate
from jaxmarl_core.envs.differential.render import render
from jaxmarl_core.errors import require
from jaxmarl_core.spaces import Box
from jaxmarl_core.types import Actions, Group, Key, StateEnvironment, TimeStep


class Game(Protocol):
    """Dynamics and costs in continuous time, as a pytree. u is all players' controls in a row."""

    @property
    def state_size(self) -> int: ...

    @property
    def players(self) -> dict[str, int]: ...  # name -> how many controls it has

    def drift(self, x: jax.Array, u: jax.Array) -> jax.Array: ...  # dx/dt, [n]

    def running_cost(self, x: jax.Array, u: jax.Array) -> jax.Array: ...  # per player, [P]


@struct.dataclass
class DifferentialState:
    """Where the game stands, and what led there."""

    x: jax.Array  # [n] f32
    control: jax.Array  # [M] f32, all players', as applied over the step before; 0 at the start
    cost: jax.Array  # [P] f32, over the step before; 0 at the start
    time: jax.Array  # [] int32, steps played


@struct.dataclass
class DifferentialGame(StateEnvironment):
    """Players steer one system in continuous time; every `dt` each chooses controls anew.

        reward of player i over a step = - integral over dt of its running cost,

    by classical Runge-Kutta steps of dt / substeps with the controls held. Nothing is discounted
    here: summed rewards are minus the cost over the horizon, max_steps dt, and a learner that
    discounts with gamma per step solves the game with rate -log(gamma) / dt.

    Groups: one of size 1 for each player, each its own team.

    - observation: [1, n] f32, the state x, for all players the same.
    - action: [1, m_i] f32, clipped to +- the player's bound before it acts and is paid for.
    - reward: [1] f32, unbounded.
    - termination: none; `max_steps` sets `last` alone.
    - state: [n] f32, x.
    - first state: uniform within `initial_mean` +- `initial_spread`, each coordinate for itself.
    - extras: "winner" [] int32, always -1.

    The game's numbers, dt and the first states are leaves: `env.replace(game=env.game.replace(...
    ))`. Where a game's solution is known, `optimal_actions` and `value` tell it; bounds that cut
    the optimal controls off change the solution.
    """

    game: Any  # a `Game`
    dt: float
    initial_mean: jax.Array  # [n]
    initial_spread: float
    bounds: tuple[float, ...] = struct.field(pytree_node=False)  # of each player's controls
    substeps: int = struct.field(pytree_node=False)
    max_steps: int = struct.field(pytree_node=False)

    @property
    def groups(self) -> Mapping[str, Group]:
        """One group of one for each player."""
        observation = Box((self.game.state_size,))
        players = enumerate(self.game.players.items())
        return {
            name: Group(1, observation, Box((size,), -self.bounds[i], self.bounds[i]), team=i)
            for i, (name, size) in players
        }

    def initial(self, key: Key) -> DifferentialState:
        """Returns a first state."""
        sizes = self.game.players.values()
        share = jax.random.uniform(key, (self.game.state_size,), minval=-1.0, maxval=1.0)
        x = jnp.asarray(self.initial_mean, float) + self.initial_spread * share
        return DifferentialState(x, jnp.zeros(sum(sizes)), jnp.zeros(len(sizes)), jnp.int32(0))

    def advance(self, key: Key, state: DifferentialState, actions: Actions) -> DifferentialState:
        """Returns the state after the controls acted for dt."""
        control = self.joint(actions).astype(state.x.dtype)
        law = lambda x: control
        x, cost = integrate(self.game, law, state.x, self.dt, self.substeps)
        return DifferentialState(x, control, cost, state.time + 1)

    def observe(self, state: DifferentialState) -> TimeStep:
        """Returns what the players see."""
        names = list(self.groups)
        return TimeStep(
            observation=dict.fromkeys(names, state.x[None]),
            action_mask={},
            alive={name: jnp.ones(1, bool) for name in names},
            state=state.x,
            reward={name: -state.cost[i : i + 1] for i, name in enumerate(names)},
            discount={name: jnp.ones(1) for name in names},
            last=state.time >= self.max_steps,
            extras={"winner": jnp.int32(-1)},
        )

    def joint(self, actions: Actions) -> jax.Array:
        """Returns all players' controls in a row, [M] f32, clipped to their bounds."""
        parts = [
            jnp.clip(actions[name][0], -bound, bound)
            for name, bound in zip(self.groups, self.bounds)
        ]
        return jnp.concatenate(parts)

    def optimal_actions(self, state: DifferentialState, *solution: Any) -> Actions:
        """Returns the equilibrium's actions {player: [1, m_i]}, before they are clipped.

        `solution` is what the game's `equilibrium` asks for beside x: a linear-quadratic game the
        solution P of its Riccati equations, the nonlinear ones nothing.
        """
        u = self.game.equilibrium(state.x, *solution)
        parts = jnp.split(u, np.cumsum(list(self.game.players.values()))[:-1])
        return {name: part[None] for name, part in zip(self.game.players, parts)}

    def value(self, state: DifferentialState, *solution: Any) -> jax.Array:
        """Returns the cost to come of every player in the equilibrium, [P], for ever on."""
        return self.game.value(state.x, *solution)

    def render(self, state: DifferentialState) -> jax.Array:
        """Returns an image [H, W, 3] uint8 of the phase plane; see `render`."""
        reach = 2.0 * (jnp.max(jnp.abs(jnp.asarray(self.initial_mean))) + self.initial_spread)
        return render(self.game, state, reach, self.dt, self.bounds)


def differential_game(
    game: Any,
    *,
    bounds: tuple[float, ...],
    dt: float,
    substeps: int,
    max_steps: int,
    initial_mean: tuple[float, ...] | None = None,
    initial_spread: float = 1.0,
) -> DifferentialGame:
    """Returns a game as an environment, its options checked.

    Args:
      game: see `Game`.
      bounds: of every player's controls, above 0; may be infinite.
      dt: time for which controls are held, above 0.
      substeps: Runge-Kutta steps in dt, at least 1.
      max_steps: the time limit, at least 1.
      initial_mean: the middle of the first states, n numbers; None: the origin.
      initial_spread: their half-width, at least 0; 0 begins at `initial_mean`.

    Raises:
      ValueError: naming the argument.
    """
    n = game.state_size
    fits = len(bounds) == len(game.players) and all(bound > 0 for bound in bounds)
    require(fits, "bounds", "a number above 0 for each player", bounds)
    require(dt > 0 and isfinite(dt), "dt", "above 0", dt)
    require(substeps >= 1, "substeps", "at least 1", substeps)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    mean = (0.0,) * n if initial_mean is None else initial_mean
    fits = len(mean) == n and all(isfinite(x) for x in mean)
    require(fits, "initial_mean", f"{n} numbers, one for each state", initial_mean)
    fits = initial_spread >= 0 and isfinite(initial_spread)
    require(fits, "initial_spread", "at least 0", initial_spread)
    return DifferentialGame(
        game=game,
        dt=dt,
        initial_mean=jnp.asarray(mean, jnp.float32),
        initial_spread=initial_spread,
        bounds=tuple(float(bound) for bound in bounds),
        substeps=substeps,
        max_steps=max_steps,
    )
