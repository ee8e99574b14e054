"""Opponents as a part of the world: an environment whose other groups are played inside `step`.

    env = with_opponents(battle(), {"blue": Player(policy, params)})
    algorithm = ippo(env)  # sees and plays "red" alone

Parameters of opponents are leaves of the environment, as its numbers are: who replaces them in a
traced function, or maps over them, compiles nothing again. `with_pool` holds several, of whom one
is drawn whenever an episode begins.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.play.policies import Player, player_of_groups
from jaxmarl_core.play.pool import Pool
from jaxmarl_core.play.wrappers import EpisodeStatistics, EpisodeStatisticsState, bare, num_teams
from jaxmarl_core.types import (
    Actions,
    Environment,
    Group,
    Key,
    Memory,
    Params,
    Policy,
    Renderable,
    StateEnvironment,
    TimeStep,
)

# what the opponents' keys are folded with; the world's own stays as it was handed in
ACTS, DRAWS = 1, 2


@struct.dataclass
class Drawn:
    """Who of a pool plays this episode."""

    slot: jax.Array  # [] int32, its place
    entry: jax.Array  # [] int32, its number: another one may have taken the place meanwhile


@struct.dataclass
class OpposedState:
    inner: EpisodeStatisticsState  # of the world whom all play
    memory: Memory  # of the opponents
    drawn: Drawn | None  # None without a pool


@struct.dataclass
class WithOpponents(StateEnvironment):
    """The world as those see it who are not opponents; made by `with_opponents` and `with_pool`.

    - Groups: the learner's. Its teams are numbered from 0 in the order they had; those whom
      opponents alone play come after, and `extras["winner"]` may name them, wherever the world has
      several teams or names winners itself. Figures go by the learner's teams' names as before.
    - A step: the opponents act on the time step of the whole world, then the world steps with the
      key it was handed. Their own keys are folded from it, so that the world draws as it would.
    - What opponents remember is in the state, and begins anew with the episode.
    - A return is the mean over the members of a team that are the learner's.
    """

    world: EpisodeStatistics  # that all play, its winners counted
    params: Params  # of the opponents' policy; with a pool leaves [K, ...]
    weights: Any  # [K] f32 >= 0, how often each of a pool is drawn; None: there is no pool
    entries: Any  # [K] int32, the numbers of those in the pool; None likewise
    policy: Policy = struct.field(pytree_node=False)  # plays all groups of `opponents`
    opponents: tuple[str, ...] = struct.field(pytree_node=False)
    greedy: bool = struct.field(pytree_node=False)

    @property
    def groups(self) -> Mapping[str, Group]:
        """The learner's."""
        every, numbers = self.world.groups, self._team_numbers
        left = {name: group for name, group in every.items() if name not in self.opponents}
        met = len(numbers) > len({group.team for group in left.values()})
        return {
            name: group._replace(team=numbers[group.team], opposed=met or group.opposed)
            for name, group in left.items()
        }

    @property
    def _team_numbers(self) -> dict[int, int]:
        """Team of the world -> its number here: the learner's first, each in order."""
        groups = self.world.groups.items()
        own = {group.team for name, group in groups if name not in self.opponents}
        others = {group.team for _, group in groups} - own
        return {team: number for number, team in enumerate([*sorted(own), *sorted(others)])}

    @property
    def max_steps(self) -> int | None:
        """The world's own time limit, if it tells one."""
        return getattr(self.world.env, "max_steps", None)

    @property
    def mean_action(self) -> Any:
        """(state, actions of the learner) -> group -> [n, A]; opponents take their mode.

        Only where the world answers it: a mean-field world's neighbours' mean action.
        """
        env: Any = self.world.env
        of_world = env.mean_action  # AttributeError: no such world

        def mean_action(state: OpposedState, actions: Actions) -> dict[str, jax.Array]:
            params, timestep = self.params_of(state), self.world.observe(state.inner)
            chosen, _ = self.policy.greedy(params, jax.random.key(0), timestep, state.memory)
            return self._own(of_world(bare(state.inner.inner), {**chosen, **actions}))

        return mean_action

    def params_of(self, state: OpposedState) -> Params:
        """Returns the parameters that the opponents play by in this episode."""
        if self.weights is None or state.drawn is None:
            return self.params
        if len(self.weights) == 1:  # no gather: weights that all environments share
            return jax.tree.map(lambda x: x[0], self.params)
        slot = state.drawn.slot
        return jax.tree.map(lambda x: x[slot], self.params)

    def opponents_act(self, key: Key, state: OpposedState) -> tuple[Actions, Memory]:
        """Returns (what the opponents do in a step of that key, what they then remember)."""
        act = self.policy.greedy if self.greedy else self.policy.act
        timestep = self.world.observe(state.inner)
        key = jax.random.fold_in(key, ACTS)
        actions, memory = act(self.params_of(state), key, timestep, state.memory)
        return {name: actions[name] for name in self.opponents}, memory

    def initial(self, key: Key) -> OpposedState:
        """Returns the first state; of a pool, an opponent is drawn."""
        drawn = None
        if self.weights is not None:
            logits = jnp.log(self.weights)
            slot = jax.random.categorical(jax.random.fold_in(key, DRAWS), logits)
            drawn = Drawn(slot.astype(jnp.int32), self.entries[slot])
        return OpposedState(self.world.initial(key), self.policy.memory(), drawn)

    def advance(self, key: Key, state: OpposedState, actions: Actions) -> OpposedState:
        """Returns the state that the learner's actions and the opponents' lead to."""
        chosen, memory = self.opponents_act(key, state)
        inner = self.world.advance(key, state.inner, {**actions, **chosen})
        return OpposedState(inner, memory, state.drawn)

    def observe(self, state: OpposedState) -> TimeStep:
        """Returns what the learner's groups see."""
        seen = self.world.observe(state.inner)
        extras = dict(seen.extras)
        episode = extras.pop("episode")
        numbers = self._team_numbers
        if len(numbers) > 1 or "winner" in extras:
            # who is in no group, as an inner world's opponents, has won all the same
            winner = jnp.where(episode.winner >= 0, len(numbers), -1).astype(jnp.int32)
            for team, number in numbers.items():
                winner = jnp.where(episode.winner == team, number, winner)
            extras["winner"] = winner
        if "team_figures" in extras:
            order = np.array(list(numbers)[: num_teams(self)])
            counted = extras["team_figures"].items()
            extras["team_figures"] = {name: figure[order] for name, figure in counted}
        if state.drawn is not None:
            plays = jnp.arange(len(self.weights)) == state.drawn.slot
            still = self.entries[state.drawn.slot] == state.drawn.entry
            extras["opponent"] = (plays & still).astype(jnp.float32)
        by_group = ("observation", "action_mask", "alive", "reward", "discount", "mean_action")
        own = {field: self._own(getattr(seen, field)) for field in by_group}
        return dataclasses.replace(seen, extras=extras, **own)

    def _own(self, by_group: Mapping[str, Any]) -> dict[str, Any]:
        return {name: x for name, x in by_group.items() if name not in self.opponents}


@struct.dataclass
class RenderedWithOpponents(WithOpponents):
    """One whose world can be drawn."""

    def render(self, state: OpposedState) -> jax.Array:
        """Returns the world's own picture, [H, W, 3] uint8."""
        assert isinstance(self.world.env, Renderable)
        return self.world.env.render(bare(state.inner.inner))


def with_opponents(
    env: Environment, players: Mapping[str, Player], greedy: bool = False
) -> WithOpponents:
    """Returns the world in which `players` play their groups; see `WithOpponents`.

    Args:
      env: the bare environment (no automatic reset).
      players: group -> who plays it, by a policy of `env` that acts for this group at least. Each
        has its own memory. Parameters become leaves of the environment, `params[group]`.
      greedy: whether opponents take the mode of their policy or draw from it.

    Raises:
      ValueError: a group is unknown (named with the nearest), nobody is left to learn, or a policy
        does not act for the group.
    """
    require_others(env, tuple(players))
    joint = player_of_groups(players)
    timestep = jax.eval_shape(env.reset, jax.random.key(0))[1]
    for name, (policy, params) in players.items():
        example = params, jax.random.key(0), timestep, policy.memory()
        acts_for = jax.eval_shape(policy.act, *example)[0]
        require(name in acts_for, f"players[{name!r}]", "a policy of that group", sorted(acts_for))
    return _opposed(env, tuple(players), joint, None, greedy)


def with_pool(
    env: Environment,
    opponents: Sequence[str],
    policy: Policy,
    pool: Pool,
    weights: jax.Array,
    greedy: bool = False,
) -> WithOpponents:
    """Returns the world whose opponents play by one of a pool, drawn whenever an episode begins.

    Where a pool's place is taken by another while an episode is played, the newcomer plays on, and
    the episode counts for neither.

    Args:
      env: the bare environment.
      opponents: the groups that are played.
      policy: of `env`, acts for all of them by one of the pool's parameters.
      pool: of parameters.
      weights: [K] f32 >= 0, not all 0, how often each is drawn: see `pool.draw_weights`.
      greedy: whether opponents take the mode of their policy or draw from it.

    Raises:
      ValueError: a group is unknown, nobody is left to learn, or weights do not fit the pool.
    """
    require_others(env, tuple(opponents))
    require(weights.shape == (pool.size,), "weights", f"shape ({pool.size},)", weights.shape)
    player = Player(policy, pool.params)
    return _opposed(env, tuple(opponents), player, (weights, pool.entries), greedy)


def require_others(env: Environment, opponents: tuple[str, ...]) -> None:
    """Raises ValueError unless these are groups of `env`, and not all of them."""
    require(bool(opponents), "opponents", f"a group of {sorted(env.groups)}", "none")
    for name in opponents:
        if name not in env.groups:
            raise ValueError(unknown("opponents", name, env.groups))
    left = set(env.groups) - set(opponents)
    require(bool(left), "opponents", "a group left to learn", f"all of {sorted(env.groups)}")


def _opposed(
    env: Environment, opponents: tuple[str, ...], player: Player, pool: Any, greedy: bool
) -> WithOpponents:
    kind = RenderedWithOpponents if isinstance(env, Renderable) else WithOpponents
    weights, entries = pool or (None, None)
    world = EpisodeStatistics(env)
    return kind(world, player.params, weights, entries, player.policy, opponents, greedy)
