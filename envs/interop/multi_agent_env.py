"""The `MultiAgentEnv` that `to_jaxmarl` returns. Needs JaxMARL."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxmarl.environments import multi_agent_env
from jaxmarl.environments import spaces as theirs

from jaxmarl_core.envs.interop.agent_names import agent_names
from jaxmarl_core.envs.interop.registered_name import registered_name
from jaxmarl_core.errors import require
from jaxmarl_core.functional.trees import select
from jaxmarl_core.spaces import Box, Composite, Discrete, Space, flat_size, flatten
from jaxmarl_core.types import Actions, Environment, EnvState, Key, StateEnvironment, TimeStep

ByAgent = dict[str, Any]


@struct.dataclass
class WorldState(multi_agent_env.State):
    """JaxMARL's `done` [N] bool and `step` [] int32, and our state."""

    inner: EnvState
    timestep: TimeStep | None  # kept only where it is no function of `inner`


class ToJaxMARL(multi_agent_env.MultiAgentEnv):
    """One of our environments as a JaxMARL `MultiAgentEnv`; `to_jaxmarl` builds it.

    - Agents: "red_0", "red_1", ... of a group "red"; a group of one lends its agent its name.
      `agent_classes` has the groups.
    - Observations: arrays. Those of a Box are as they are; those of a Discrete are one-hot; those
      of a Composite are laid out as one vector, [F] f32, discrete parts as one-hot.
    - Actions: Discrete, Box, or MultiDiscrete for a Composite of Discrete; axes of length 1 may be
      added or missing, as JaxMARL's own programs send Discrete ones of shape [1].
    - Dones: the episode is over, or the agent has died, and stays so. `__all__`: it is over.
    - Infos: `discount` [N] f32, in the order of `agents`: 0 where an agent's episode truly ended,
      1 for a time limit, which a done alone does not tell.
    - `get_avail_actions`: [A] bool, those of a MultiDiscrete one after the other; all where the
      environment has no masks, or an agent nothing legal, as the dead. For a Box, ones of its
      shape.
    - `num_allies`: how many agents are on the team of the first one, which JaxMARL's programs for
      SMAX take for all that learn.
    - `get_world_state`: what a central critic may see, [state_size] f32.

    `step` begins a new episode where one ends, as in JaxMARL: what it returns of the end is the
    reward and the dones. The environment's numbers are constants of the compiled program.
    """

    def __init__(self, env: Environment, world_state: bool, name: str | None):
        self.env = env
        self._name = registered_name(env) if name is None else name
        self._world_state = world_state
        self._places = agent_names(env.groups)
        super().__init__(num_agents=len(self._places))
        self.agents = list(self._places)
        for agent, (group, _) in self._places.items():
            spaces = env.groups[group]
            self.observation_spaces[agent] = _observation_space(spaces.observation, group)
            self.action_spaces[agent] = _action_space(spaces.action, group)
        first = jax.eval_shape(lambda key: env.reset(key)[1].state, jax.random.key(0))
        self.state_size = first.size

    @property
    def name(self) -> str:
        """What the environment is called."""
        return self._name

    @property
    def num_allies(self) -> int:
        """How many agents are on the first one's team."""
        groups = list(self.env.groups.values())
        return sum(group.size for group in groups if group.team == groups[0].team)

    @property
    def agent_classes(self) -> dict[str, list[str]]:
        """The agents of each group."""
        classes = {group: [] for group in self.env.groups}
        for agent, (group, _) in self._places.items():
            classes[group].append(agent)
        return classes

    @partial(jax.jit, static_argnums=0)
    def reset(self, key: Key) -> tuple[ByAgent, WorldState]:
        """Returns the first observations and state, those of our `reset` for the same key."""
        inner, timestep = self.env.reset(key)
        state = self._state(inner, timestep, jnp.int32(0))
        return self._observations(timestep), state

    @partial(jax.jit, static_argnums=0)
    def step(
        self, key: Key, state: WorldState, actions: ByAgent, reset_state: WorldState | None = None
    ) -> tuple[ByAgent, WorldState, ByAgent, ByAgent, dict[str, jax.Array]]:
        """Returns observations, state, rewards, dones and infos; a new episode where one ended.

        JaxMARL's own `step`, with its keys, but observing once: the state that is gone on with.
        """
        key, key_reset = jax.random.split(key)
        _, stepped, rewards, dones, infos = self.step_env(key, state, actions)
        fresh = self.reset(key_reset)[1] if reset_state is None else reset_state
        state = select(dones["__all__"], fresh, stepped)
        return self.get_obs(state), state, rewards, dones, infos

    @partial(jax.jit, static_argnums=0)
    def step_env(
        self, key: Key, state: WorldState, actions: ByAgent
    ) -> tuple[ByAgent, WorldState, ByAgent, ByAgent, dict[str, jax.Array]]:
        """Returns what our `step` leads to for the same key and actions, the end included."""
        inner, timestep = self.env.step(key, state.inner, self._joint(actions))
        state = self._state(inner, timestep, state.step + 1)
        dones = {agent: state.done[i] for i, agent in enumerate(self.agents)}
        dones["__all__"] = timestep.last
        rewards = self._by_agent(timestep.reward)
        infos = {"discount": self._in_order(timestep.discount)}
        return self._observations(timestep), state, rewards, dones, infos

    @partial(jax.jit, static_argnums=0)
    def get_obs(self, state: WorldState) -> ByAgent:
        """Returns what the agents see in a state."""
        return self._observations(self._timestep(state))

    @partial(jax.jit, static_argnums=0)
    def get_avail_actions(self, state: WorldState) -> ByAgent:
        """Returns the legal actions of each agent, as bools."""
        masks = self._timestep(state).action_mask
        groups = self.env.groups.items()
        legal = {n: _legal(group.action, group.size, masks.get(n)) for n, group in groups}
        return self._by_agent(legal)

    get_legal_moves = get_avail_actions  # what JaxMARL's wrappers ask of Hanabi

    @partial(jax.jit, static_argnums=0)
    def get_world_state(self, state: WorldState) -> jax.Array:
        """Returns what a central critic may see, [state_size] f32."""
        return _flat(self._timestep(state).state)

    def _state(self, inner: EnvState, timestep: TimeStep, step: jax.Array) -> WorldState:
        done = timestep.last | (self._in_order(timestep.discount) == 0)
        kept = None if isinstance(self.env, StateEnvironment) else timestep
        return WorldState(done=done, step=step, inner=inner, timestep=kept)

    def _timestep(self, state: WorldState) -> TimeStep:
        if state.timestep is not None:
            return state.timestep
        assert isinstance(self.env, StateEnvironment)  # see _state
        return self.env.observe(state.inner)

    def _observations(self, timestep: TimeStep) -> ByAgent:
        groups = self.env.groups.items()
        arrays = {n: _array(group.observation, timestep.observation[n]) for n, group in groups}
        observations = self._by_agent(arrays)
        if self._world_state:
            observations["world_state"] = _flat(timestep.state)
        return observations

    def _by_agent(self, rows: Mapping[str, jax.Array]) -> ByAgent:
        return {agent: rows[group][i] for agent, (group, i) in self._places.items()}

    def _in_order(self, rows: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.concatenate([rows[group] for group in self.env.groups])

    def _joint(self, actions: ByAgent) -> Actions:
        """Returns actions by agent as actions by group."""
        joint = {}
        for name, agents in self.agent_classes.items():
            space = self.env.groups[name].action
            rows = jnp.stack([_fitted(space, actions[agent], agent) for agent in agents])
            joint[name] = _action(space, rows)
        return joint


def _observation_space(space: Space, group: str) -> theirs.Space:
    known = isinstance(space, Discrete | Box | Composite)
    require(known, f"{group}: observation", "a Discrete, Box or Composite space", space)
    if isinstance(space, Box):
        return theirs.Box(space.low, space.high, space.shape, space.dtype)
    low, high = (0.0, 1.0) if isinstance(space, Discrete) else (-jnp.inf, jnp.inf)
    return theirs.Box(low, high, (flat_size(space),), jnp.float32)


def _action_space(space: Space, group: str) -> theirs.Space:
    if isinstance(space, Discrete):
        return theirs.Discrete(space.num_values)
    if isinstance(space, Box):
        return theirs.Box(space.low, space.high, space.shape, space.dtype)
    parts = [part for _, part in space.items] if isinstance(space, Composite) else [space]
    counts = [part.num_values for part in parts if isinstance(part, Discrete)]
    require(
        len(counts) == len(parts),
        f"{group}: action",
        "Discrete, Box, or a Composite of Discrete",
        space,
    )
    return theirs.MultiDiscrete(counts)


def _legal(space: Space, size: int, mask: Any) -> jax.Array:
    """Returns which actions are legal, [n, A] bool; all where nothing is said, or nothing is."""
    if isinstance(space, Composite):
        told = mask or {}
        parts = [_legal(part, size, told.get(name)) for name, part in space.items]
        return jnp.concatenate(parts, axis=-1)
    if mask is None:
        return jnp.ones(
            (size, *(space.shape if isinstance(space, Box) else (flat_size(space),))), bool
        )
    return mask | ~mask.any(-1, keepdims=True)


def _fitted(space: Space, action: Any, agent: str) -> jax.Array:
    """Returns an agent's action in the shape of its space, from which it may differ by axes of 1.

    Raises:
      ValueError: it differs otherwise, as where it would be broadcast in silence.
    """
    action = jnp.asarray(action)
    shape = (len(space.items),) if isinstance(space, Composite) else space.shape
    alike = [n for n in action.shape if n != 1] == [n for n in shape if n != 1]
    require(alike, f"action of {agent}", f"of shape {shape}", action.shape)
    return action.reshape(shape)


def _action(space: Space, rows: jax.Array) -> Any:
    """Returns actions [n, ...] as our space has them."""
    if isinstance(space, Composite):
        return {name: rows[:, i].astype(Discrete.dtype) for i, (name, _) in enumerate(space.items)}
    return rows.astype(space.dtype)


def _array(space: Space, observation: Any) -> jax.Array:
    return observation if isinstance(space, Box) else flatten(space, observation)


def _flat(state: jax.Array) -> jax.Array:
    return state.ravel().astype(jnp.float32)
