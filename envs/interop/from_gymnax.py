"""Any gymnax environment as one of ours: a group of one agent, its physics sweepable.

Lange, 2022, github.com/RobertTLange/gymnax, 1.0 or later: its `step_env` tells natural termination,
`is_truncated` the time limit. Its own reset after the end is left out, ours takes its place.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.interop.extras import need, undisturbed
from jaxmarl_core.envs.interop.foreign_spaces import (
    Action,
    action_space,
    like,
    observation_space,
    observed,
)
from jaxmarl_core.envs.interop.settings import checked, parameters, parsed
from jaxmarl_core.errors import lookup
from jaxmarl_core.spaces import Discrete, Space, flat_size
from jaxmarl_core.types import Actions, Group, Key, TimeStep

EXTRA = "gymnax"
AGENT = "agent"


@struct.dataclass
class FromGymnax:
    """A gymnax environment.

    Groups: "agent", of size 1.

    - Observation: as the world declares it; shape and dtype as it returns it.
    - Action: its Discrete, or its Box; a box with several bounds becomes [-1, 1], scaled to them.
    - Reward: its own.
    - State for a central critic: the observation, flat, [F] f32; Discrete as one-hot.
    - End: discount 0 where the world terminates; its `max_steps_in_episode` is a time limit.

    `params` are leaves: `env.replace(params=env.params.replace(gravity=batch))` under `vmap` sweeps
    the physics.
    """

    params: Any  # the EnvParams of the world
    world: Any = struct.field(pytree_node=False)  # a gymnax.environments.environment.Environment
    observation: Space = struct.field(pytree_node=False)
    action: Action = struct.field(pytree_node=False)

    @property
    def groups(self) -> Mapping[str, Group]:
        """One agent."""
        return {AGENT: Group(1, self.observation, self.action.space)}

    def reset(self, key: Key) -> tuple[Any, TimeStep]:
        """Returns the first state and time step, those of gymnax for the same key."""
        with undisturbed():
            obs, state = self.world.reset_env(key, self.params)
        no = jnp.bool_(False)
        return like(state, state), self._timestep(obs, jnp.float32(0), no, no)

    def step(self, key: Key, state: Any, actions: Actions) -> tuple[Any, TimeStep]:
        """Returns the next state and time step, those of gymnax for the same key and action."""
        action = self.action.translated(actions[AGENT][0])
        with undisturbed():
            obs, after, reward, terminated, _ = self.world.step_env(key, state, action, self.params)
            truncated = self.world.is_truncated(after, self.params)
        return like(after, state), self._timestep(obs, reward, terminated, truncated)

    def _timestep(self, obs: Any, reward: Any, terminated: Any, truncated: Any) -> TimeStep:
        obs = observed(self.observation, obs)
        terminated = jnp.asarray(terminated).astype(bool).reshape(())
        flat = obs.ravel().astype(jnp.float32)
        if isinstance(self.observation, Discrete):
            flat = jax.nn.one_hot(obs, flat_size(self.observation))
        return TimeStep(
            observation={AGENT: obs[None]},
            action_mask={},
            alive={AGENT: jnp.ones(1, bool)},
            state=flat,
            reward={AGENT: jnp.asarray(reward, jnp.float32).reshape(1)},
            discount={AGENT: 1.0 - terminated.astype(jnp.float32).reshape(1)},
            last=terminated | jnp.asarray(truncated).astype(bool).reshape(()),
        )


def gymnax(
    name: str = "CartPole-v1",
    *,
    settings: str | Mapping[str, Any] = "{}",
    params: str | Mapping[str, Any] = "{}",
) -> FromGymnax:
    """Returns a gymnax environment as one of ours; needs the extra "gymnax".

    Args:
      name: a name in gymnax's registry, such as "CartPole-v1" or "Breakout-MinAtar".
      settings: what its constructor is told, a JSON object or a mapping: '{"size": 4}'.
      params: what replaces its default parameters, likewise: '{"max_steps_in_episode": 200}'.

    Raises:
      ImportError: gymnax is not installed.
      ValueError: an unknown name (with the nearest), or settings or parameters the world has not.
    """
    library = need("gymnax", EXTRA)
    factories = need("gymnax.registration", EXTRA)._registry
    factory = lookup(factories, name, "name")
    settings, params = parsed("settings", settings), parsed("params", params)
    checked("settings", settings, parameters(factory))
    with undisturbed():
        world, defaults = library.make(name, **settings)
        checked("params", params, vars(defaults))
        chosen = defaults.replace(**params)
        obs, _ = jax.eval_shape(world.reset_env, jax.random.key(0), chosen)
        space = observation_space(world.observation_space(chosen), obs)
        action = action_space(world.action_space(chosen), "name")
    leaves = jax.tree.map(lambda x: x if np.ndim(x) == 0 else jnp.asarray(x), chosen)
    return FromGymnax(params=leaves, world=world, observation=space, action=action)
