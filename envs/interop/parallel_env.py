"""The `ParallelEnv` that `to_pettingzoo` returns. Needs PettingZoo."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import gymnasium.spaces as gym
import jax
import numpy as np
from pettingzoo import ParallelEnv

from jaxmarl_core.envs.interop.agent_names import agent_names
from jaxmarl_core.envs.interop.gymnasium_spaces import gymnasium_space, seed, with_mask
from jaxmarl_core.envs.interop.registered_name import registered_name
from jaxmarl_core.envs.interop.window import Window
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Composite, Discrete, Space, flat_box, flatten
from jaxmarl_core.types import Actions, Environment, EnvState, Key, TimeStep

MASKS = ("info", "observation")
RENDER_MODES = ("human", "rgb_array")


class Report(NamedTuple):
    """What of a time step goes to the host."""

    observation: dict[str, Any]
    action_mask: dict[str, Any]
    state: Any
    reward: dict[str, Any]
    discount: dict[str, Any]
    last: Any


def _report(env: Environment, timestep: TimeStep, flat: bool) -> Report:
    report = Report(*(getattr(timestep, field) for field in Report._fields))
    if not flat:
        return report
    observation = {
        name: flatten(group.observation, timestep.observation[name])
        for name, group in env.groups.items()
        if isinstance(group.observation, Composite)
    }
    return report._replace(observation=report.observation | observation)


# The environment is an argument: two of the same kind and sizes share one program.
@partial(jax.jit, static_argnames="flat")
def _begin(env: Environment, key: Key, *, flat: bool) -> tuple[Key, EnvState, Report]:
    key, key_reset = jax.random.split(key)
    state, timestep = env.reset(key_reset)
    return key, state, _report(env, timestep, flat)


@partial(jax.jit, static_argnames="flat")
def _go_on(
    env: Environment, key: Key, state: EnvState, actions: Actions, *, flat: bool
) -> tuple[Key, EnvState, Report]:
    key, key_step = jax.random.split(key)
    state, timestep = env.step(key_step, state, actions)
    return key, state, _report(env, timestep, flat)


@jax.jit
def _image(env: Any, state: EnvState) -> jax.Array:
    return env.render(state)


class ToPettingZoo(ParallelEnv):
    """One of our environments as a PettingZoo `ParallelEnv`; `to_pettingzoo` builds it.

    - Agents: "red_0", "red_1", ... of a group "red"; a group of one lends its agent its name.
    - Spaces: Discrete, Box, and Dict for Composite. Each agent has its own, seeded.
    - Rewards: floats. An agent that has left is told nothing more, a team's reward included.
    - Terminations: discount 0. Truncations: the episode is over for an agent whose discount is 1.
      After either, the agent leaves `agents`.
    - Infos: `action_mask` [A] int8, or a dict of such by part for a Dict, where the environment has
      masks and `masks` is "info".
    - `state()`: what a central critic may see, as in `state_space`.

    Reset and step are one program and one transfer to the host each. An episode draws from
    `key, key_reset = split(key)`, every step likewise from `key, key_step = split(key)`, beginning
    with `jax.random.key(seed)`; a reset without a seed goes on with the key it finds.

    With `render_mode="human"` every reset and step is shown in a window, `render_fps` a second at
    most; `close` closes it.
    """

    def __init__(
        self,
        env: Environment,
        seed: int,
        masks: str,
        render_mode: str | None,
        render_fps: int,
        name: str | None,
        flatten: bool,
    ):
        require(masks in MASKS, "masks", f"one of {', '.join(MASKS)}", repr(masks))
        modes = RENDER_MODES if hasattr(env, "render") else ()
        can_show = render_mode is None or render_mode in modes
        require(can_show, "render_mode", f"None or one of {modes}", repr(render_mode))
        require(render_fps > 0, "render_fps", "above 0", render_fps)
        self.env = env
        self.render_mode = render_mode
        title = registered_name(env) if name is None else name
        self.metadata = {
            "name": title,
            "render_modes": list(modes),
            "render_fps": render_fps,
            "is_parallelizable": True,
        }
        self._masks = masks
        self._flat = flatten
        self._window = Window(title, render_fps) if render_mode == "human" else None
        self._key = _key(seed)
        self._env_state = self._central = None
        self._places = agent_names(env.groups)
        self.possible_agents = list(self._places)
        self.agents = []
        self._make_spaces(seed)

    def _make_spaces(self, number: int) -> None:
        groups = self.env.groups
        first = jax.eval_shape(lambda env, key: env.reset(key)[1], self.env, self._key)
        self.observation_spaces, self.action_spaces = {}, {}
        for i, (agent, (group, _)) in enumerate(self._places.items()):
            seen = groups[group].observation
            seen = flat_box(seen) if self._flat and isinstance(seen, Composite) else seen
            observation = gymnasium_space(seen, f"{group}: observation")
            action = gymnasium_space(groups[group].action, f"{group}: action")
            if self._masks == "observation" and group in first.action_mask:
                observation = with_mask(observation, first.action_mask[group])
            seed(observation, number, i, 0)
            seed(action, number, i, 1)
            self.observation_spaces[agent], self.action_spaces[agent] = observation, action
        self.state_space = gym.Box(
            -np.inf, np.inf, first.state.shape, np.dtype(first.state.dtype).type
        )

    def observation_space(self, agent: str) -> gym.Space:
        """Returns the space of what the agent sees."""
        return lookup(self.observation_spaces, agent, "agent")

    def action_space(self, agent: str) -> gym.Space:
        """Returns the space of what the agent does."""
        return lookup(self.action_spaces, agent, "agent")

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict]]:
        """Returns observations and infos of the start of an episode.

        Args:
          seed: at least 0, to repeat; None for the next episode, another one.
          options: without effect; options belong to the builder of the environment.
        """
        key = self._key if seed is None else _key(seed)
        self._key, self._env_state, report = _begin(self.env, key, flat=self._flat)
        self.agents = list(self.possible_agents)
        self._show()
        return self._told(_fetched(report))

    def step(self, actions: Mapping[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Returns observations, rewards, terminations, truncations and infos of living agents.

        Those who leave with this step are told once more; after all have left, nobody is.

        Args:
          actions: of each of `agents`; those of agents who have left are ignored.

        Raises:
          RuntimeError: before the first `reset`.
          ValueError: an agent's action is missing or does not fit its space.
        """
        if self._env_state is None:
            raise RuntimeError("step: expected a reset before it")
        if not self.agents:
            return {}, {}, {}, {}, {}
        joint = self._stacked(actions)
        self._key, self._env_state, report = _go_on(
            self.env, self._key, self._env_state, joint, flat=self._flat
        )
        self._show()
        report = _fetched(report)
        observations, infos = self._told(report)
        rewards, terminations, truncations = {}, {}, {}
        for agent in self.agents:
            group, i = self._places[agent]
            rewards[agent] = float(report.reward[group][i])
            terminations[agent] = bool(report.discount[group][i] == 0)
            truncations[agent] = bool(report.last) and not terminations[agent]
        self.agents = [a for a in self.agents if not (terminations[a] or truncations[a])]
        return observations, rewards, terminations, truncations, infos

    def state(self) -> np.ndarray:
        """Returns what a central critic may see."""
        if self._central is None:
            raise RuntimeError("state: expected a reset before it")
        return self._central

    def render(self) -> np.ndarray | None:
        """Returns an image [H, W, 3] uint8 with `render_mode="rgb_array"`; "human" shows it."""
        if self.render_mode is None:
            return None
        if self._env_state is None:
            raise RuntimeError("render: expected a reset before it")
        if self.render_mode == "human":
            return self._show()
        return np.array(_image(self.env, self._env_state))

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._window is not None:
            self._window.close()

    def _show(self) -> None:
        """Shows the state in the window, if there is one."""
        if self._window is not None:
            self._window.show(np.array(_image(self.env, self._env_state)))

    def _told(self, report: Report) -> tuple[dict[str, Any], dict[str, dict]]:
        """Returns observations and infos of the living, and keeps the central state."""
        self._central = report.state
        observations, infos = {}, {}
        for agent in self.agents:
            group, i = self._places[agent]
            observation = jax.tree.map(lambda x, i=i: x[i], report.observation[group])
            mask = {}
            if group in report.action_mask:
                own = lambda rows, i=i: rows[i].astype(np.int8)
                mask = {"action_mask": jax.tree.map(own, report.action_mask[group])}
            if mask and self._masks == "observation":
                observation, mask = {"observation": observation, **mask}, {}
            observations[agent], infos[agent] = observation, mask
        return observations, infos

    def _stacked(self, actions: Mapping[str, Any]) -> dict[str, Any]:
        """Returns actions by agent as actions by group, zero for those who have left."""
        for agent in actions:
            lookup(self._places, agent, "actions")
        missing = [agent for agent in self.agents if agent not in actions]
        require(not missing, "actions", "one for every living agent", f"none for {missing}")
        groups = self.env.groups
        joint = {name: _empty(group.action, group.size) for name, group in groups.items()}
        for agent in self.agents:
            group, i = self._places[agent]
            _put(joint[group], i, groups[group].action, actions[agent], agent)
        return joint


def _key(seed: int) -> Key:
    require(seed >= 0, "seed", "at least 0", seed)
    return jax.random.key(int(seed))


def _fetched(report: Report) -> Report:
    """Returns writable arrays on the host, by one transfer."""
    return jax.tree.map(np.array, jax.device_get(report))


def _empty(space: Space, size: int) -> Any:
    if isinstance(space, Composite):
        return {name: _empty(part, size) for name, part in space.items}
    return np.zeros((size, *space.shape), space.dtype)


def _put(rows: Any, i: int, space: Space, action: Any, agent: str) -> None:
    """Writes an action to row i. Boxes are not held to their bounds, as elsewhere in Gymnasium."""
    if isinstance(space, Composite):
        names = [name for name, _ in space.items]
        named = isinstance(action, Mapping) and set(action) == set(names)
        require(named, f"action of {agent}", f"a dict with {', '.join(names)}", action)
        for name, part in space.items:
            _put(rows[name], i, part, action[name], f"{agent}, {name}")
        return
    action = np.asarray(action)
    fits = action.shape == space.shape
    fits = fits and (not isinstance(space, Discrete) or space.contains(action))
    require(fits, f"action of {agent}", f"one of {space}", action)
    rows[i] = action
