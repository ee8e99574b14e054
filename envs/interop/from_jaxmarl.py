"""Any JaxMARL environment as one of ours: agents in groups, masks, a critic's state, honest ends.

Rutherford et al., 2023, arXiv:2311.10090. Transitions are JaxMARL's own, bit for bit for the same
keys; its automatic reset is left out, ours takes its place.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.envs.interop.extras import need, undisturbed
from jaxmarl_core.envs.interop.foreign_spaces import like
from jaxmarl_core.envs.interop.jaxmarl_agents import AgentGroups, agent_groups, by_agent, kind_of
from jaxmarl_core.envs.interop.jaxmarl_endings import Transition, truly_ended
from jaxmarl_core.envs.interop.pickling import Recipe, Remade
from jaxmarl_core.envs.interop.settings import checked, parameters, parsed
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Actions, Group, Key, TimeStep

EXTRA = "jaxmarl"


@struct.dataclass
class AdaptedState:
    """The state of the JaxMARL world, and who has not dropped out."""

    inner: Any
    alive: dict[str, jax.Array]  # group -> [n] bool


@struct.dataclass
class FromJaxMARL(Remade):
    """A JaxMARL environment.

    Groups: agents with the same kind of name ("ally" of "ally_2"), team and spaces, in JaxMARL's
    order. A group is named after the kind, with the number of its first agent where a kind has
    several groups ("agent_0", "agent_2").

    - Observation: as the world declares it; shape and dtype as it returns it.
    - Action: Discrete with `get_avail_actions` (Hanabi: `get_legal_moves`) as mask, where the
      world has one; or Box, scaled to [-1, 1] where its entries have different bounds.
    - Reward: the world's, plus `shaping` times what it offers as `info["shaped_reward"]`; nothing
      for those who dropped out, unless the world pays the fallen.
    - Alive: an agent that is done before the others drops out.
    - State for a central critic: the world's `get_world_state`, or else all observations; [F] f32.
    - End: when all are done; discount 0 as told by `jaxmarl_endings`, and for those dropping out
      where the fallen are not paid.
    """

    shaping: float | jax.Array  # weight of the shaped reward
    world: Any = struct.field(pytree_node=False)  # a jaxmarl MultiAgentEnv
    agent_groups: AgentGroups = struct.field(pytree_node=False)
    pays_the_fallen: bool = struct.field(pytree_node=False, default=False)
    recipe: Recipe | None = struct.field(pytree_node=False, default=None)

    @property
    def groups(self) -> Mapping[str, Group]:
        """Agents with the same kind of name, team and spaces."""
        return dict(zip(self.agent_groups.names, self.agent_groups.groups))

    def reset(self, key: Key) -> tuple[AdaptedState, TimeStep]:
        """Returns the first state and time step, those of JaxMARL for the same key."""
        with undisturbed():
            obs, inner = self.world.reset(key)
            inner = like(inner, inner)
            ones = self._same(1.0, jnp.float32)
            state = AdaptedState(inner, self._same(True, bool))
            no = jnp.bool_(False)
            return state, self._timestep(state, obs, self._same(0.0, jnp.float32), ones, no)

    def step(
        self, key: Key, state: AdaptedState, actions: Actions
    ) -> tuple[AdaptedState, TimeStep]:
        """Returns the next state and time step, those of JaxMARL for the same key and actions."""
        joint = self.agent_groups.actions_by_agent(actions)
        with undisturbed():
            obs, inner, paid, dones, info = self.world.step_env(key, state.inner, joint)
            over = jnp.asarray(dones["__all__"]).astype(bool).reshape(())
            ended = truly_ended(Transition(self.world, state.inner, joint, inner))
            inner = like(inner, state.inner)
            agents = self.world.agents
            ended = dict(zip(agents, jnp.broadcast_to(ended, (len(agents),))))
            dropped = self.agent_groups.by_group({a: dones.get(a, over) for a in agents}, bool)
            ended = self.agent_groups.by_group(ended, bool)
            alive = {name: was & ~(dropped[name] & ~over) for name, was in state.alive.items()}
            paid_on = alive if not self.pays_the_fallen else self._same(True, bool)
            discount = {
                name: (paid_on[name] & ~(over & ended[name])).astype(jnp.float32) for name in alive
            }
            after = AdaptedState(inner, alive)
            reward = self._reward(paid, info)
            if not self.pays_the_fallen:  # whoever was done before is, by JaxMARL's contract
                reward = {name: jnp.where(state.alive[name], reward[name], 0) for name in alive}
            return after, self._timestep(after, obs, reward, discount, over)

    def _timestep(self, state: AdaptedState, obs: Any, reward, discount, last) -> TimeStep:
        observation = self.agent_groups.observations_by_group(by_agent(obs, self.world.agents))
        return TimeStep(
            observation=observation,
            action_mask=self._masks(state.inner),
            alive=state.alive,
            state=self._overview(state.inner, observation),
            reward=reward,
            discount=discount,
            last=last,
        )

    def _reward(self, paid: Any, info: Mapping[str, Any]) -> dict[str, jax.Array]:
        agents = self.world.agents
        paid = by_agent(paid, agents)
        total = {agent: jnp.asarray(paid[agent], jnp.float32).reshape(()) for agent in agents}
        if "shaped_reward" in info:
            shaped = info["shaped_reward"]
            total = {agent: total[agent] + self.shaping * shaped[agent] for agent in agents}
        return self.agent_groups.by_group(total, jnp.float32)

    def _masks(self, inner: Any) -> dict[str, jax.Array]:
        legal = legal_actions(self.world)
        masks = self.agent_groups.by_group(legal(inner), bool) if legal else {}
        groups = self.groups
        return {n: mask for n, mask in masks.items() if isinstance(groups[n].action, Discrete)}

    def _overview(self, inner: Any, observation: Mapping[str, Any]) -> jax.Array:
        if hasattr(self.world, "get_world_state"):
            leaves = jax.tree.leaves(self.world.get_world_state(inner))  # FACMAC's is by agent
        else:
            leaves = jax.tree.leaves([observation[name] for name in self.agent_groups.names])
        return jnp.concatenate([leaf.ravel().astype(jnp.float32) for leaf in leaves])

    def _same(self, value: Any, dtype: Any) -> dict[str, jax.Array]:
        return {name: jnp.full(group.size, value, dtype) for name, group in self.groups.items()}


def legal_actions(world: Any) -> Callable[[Any], Mapping[Any, jax.Array]] | None:
    """Returns the world's function from a state to its legal actions by agent, or None."""
    for name in ("get_legal_moves", "get_avail_actions"):
        written = [vars(each)[name] for each in type(world).__mro__ if name in vars(each)]
        if written and written[0].__module__ != "jaxmarl.environments.multi_agent_env":
            return getattr(world, name)
    return None


# What particle worlds take by **kwargs, which would swallow any misspelling.
PARTICLE_SETTINGS = {
    "accel", "c_noise", "collide", "contact_force", "contact_margin", "damping", "mass",
    "max_speed", "moveable", "rad", "silent", "u_noise",
}  # fmt: skip
SELF_INTERESTED = ("coin_game", "storm", "storm_2p", "storm_np")


def adapted(world: Any, teams: tuple[str, ...] = (), alone: bool = False) -> FromJaxMARL:
    """Returns a JaxMARL environment object as one of ours; see `jaxmarl`."""
    with undisturbed():
        first, _ = jax.eval_shape(world.reset, jax.random.key(0))
        obs = jax.eval_shape(lambda tree: by_agent(tree, world.agents), first)
        return FromJaxMARL(
            shaping=0.0, world=world, agent_groups=agent_groups(world, obs, teams, alone)
        )


def jaxmarl(
    name: str = "MPE_simple_spread_v3",
    *,
    settings: str | Mapping[str, Any] = "{}",
    teams: tuple[str, ...] = (),
    shaping: float = 0.0,
) -> FromJaxMARL:
    """Returns a JaxMARL environment as one of ours; needs the extra "jaxmarl".

    Args:
      name: a name in JaxMARL's registry, such as "overcooked_v2", "hanabi" or "coin_game".
      settings: what its constructor is told, a JSON object or a mapping: '{"num_agents": 5}'.
        Layouts of Overcooked and scenarios of SMAX go by name: '{"scenario": "3m"}'.
      teams: the teams, each as agents or kinds of agents joined by "+", such as
        ("leadadversary+adversary", "agent"). By default adversaries, and the enemies of SMAX, play
        against the rest; in the coin game and storm all play for themselves.
      shaping: weight of the shaped reward that a world offers beside its reward (Overcooked).

    Raises:
      ImportError: JaxMARL is not installed.
      ValueError: an unknown name (with the nearest), settings the world has not, impossible teams,
        or shaping where there is none.
    """
    known = need("jaxmarl.registration", EXTRA).registered_envs
    lookup(dict.fromkeys(known), name, "name")
    settings = parsed("settings", settings)
    with undisturbed():
        world = _made(name, settings)
    env = adapted(world, teams, name in SELF_INTERESTED)
    offered = hasattr(world, "layout") and kind_of(name).startswith("overcooked")
    require(shaping == 0 or offered, "shaping", f"0 in {name}, which offers no shaping", shaping)
    recipe = Recipe(jaxmarl, name=name, settings=settings, teams=teams)
    return dataclasses.replace(env, shaping=shaping, recipe=recipe)


def _made(name: str, settings: dict[str, Any]) -> Any:
    if name == "overcooked" and isinstance(settings.get("layout"), str):
        layouts = need("jaxmarl.environments.overcooked", EXTRA).overcooked_layouts
        settings = settings | {"layout": lookup(layouts, settings["layout"], "layout")}
    if "SMAX" in name and isinstance(settings.get("scenario"), str):
        scenarios = need("jaxmarl.environments.smax.smax_env", EXTRA).MAP_NAME_TO_SCENARIO
        settings = settings | {"scenario": lookup(scenarios, settings["scenario"], "scenario")}
    make = need("jaxmarl", EXTRA).make
    try:
        world = make(name, **settings)
    except TypeError as error:
        raise ValueError(f"settings: expected what {name} takes, got {settings}: {error}") from None
    if hasattr(world, "num_landmarks"):
        checked("settings", settings, parameters(type(world)) | PARTICLE_SETTINGS)
    if getattr(world, "auto_reset", False):  # MABrax: its own reset would hide the end
        world = make(name, **settings | {"auto_reset": False})
    return world
