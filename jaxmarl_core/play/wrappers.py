"""Environments that wrap environments: automatic reset, and statistics of each episode."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.functional.trees import select
from jaxmarl_core.types import Actions, Environment, EnvState, Key, StateEnvironment, TimeStep


def num_teams(env: Environment) -> int:
    """Returns how many teams the groups of `env` belong to."""
    return 1 + max(group.team for group in env.groups.values())


def team_sizes(env: Environment) -> tuple[int, ...]:
    """Returns how many agents each team has."""
    groups = env.groups.values()
    return tuple(
        sum(group.size for group in groups if group.team == team) for team in range(num_teams(env))
    )


def team_suffixes(env: Environment) -> tuple[str, ...]:
    """Returns what figures of each team end in: `_<team>`, or "" where there is no other team."""
    opposed = num_teams(env) > 1 or any(group.opposed for group in env.groups.values())
    return tuple(f"_{name}" if opposed else "" for name in team_names(env))


def return_figures(env: Environment, returns: jax.Array) -> dict[str, jax.Array]:
    """Returns a team's return under the names that figures of it have, each [...].

    `return_<team>` where the team has one member, or all of it is told one number; else pay is
    everyone's own, and there are `return_mean_<team>`, over all its members, and
    `return_sum_<team>`. Without `_<team>` where there is one team.

    Args:
      env: the environment.
      returns: [..., num_teams] f32, as in `Episode`.
    """
    figures = {}
    for team, suffix in enumerate(team_suffixes(env)):
        size, figure = team_sizes(env)[team], returns[..., team]
        members = [group for group in env.groups.values() if group.team == team]
        if size == 1 or all(group.common_reward for group in members):
            figures[f"return{suffix}"] = figure
        else:
            figures[f"return_mean{suffix}"] = figure
            figures[f"return_sum{suffix}"] = figure * size
    return figures


def counted_figures(env: Environment, episode: "Episode") -> dict[str, jax.Array]:
    """Returns what the environment counts of each team, `<name>_<team>` -> [...], as `Episode`.

    Without `_<team>` where there is one team.
    """
    return {
        f"{name}{suffix}": figure[..., team]
        for name, figure in episode.team_figures.items()
        for team, suffix in enumerate(team_suffixes(env))
    }


def team_names(env: Environment) -> tuple[str, ...]:
    """Returns a name for each team: its groups' names, joined by "+"."""
    groups = env.groups.items()
    return tuple(
        "+".join(name for name, group in groups if group.team == team)
        for team in range(num_teams(env))
    )


@struct.dataclass
class Kept:
    """A state of an environment, and the time step that came with it."""

    inner: EnvState
    timestep: TimeStep


@struct.dataclass
class Keeping(StateEnvironment):
    """Any environment as one whose time step is a function of its state, which keeps it."""

    env: Environment

    @property
    def groups(self):
        return self.env.groups

    def initial(self, key: Key) -> Kept:
        return Kept(*self.env.reset(key))

    def advance(self, key: Key, state: Kept, actions: Actions) -> Kept:
        return Kept(*self.env.step(key, state.inner, actions))

    def observe(self, state: Kept) -> TimeStep:
        return state.timestep


def observable(env: Environment) -> StateEnvironment:
    """Returns the environment itself if its time step is a function of its state, or `Keeping`."""
    return env if isinstance(env, StateEnvironment) else Keeping(env)


def bare(state: EnvState | Kept) -> EnvState:
    """Returns the state of the environment that was handed to `observable`."""
    return state.inner if isinstance(state, Kept) else state


class Prepared(NamedTuple):
    """What a step of `AutoReset` draws, whatever the state."""

    key: Key  # of the environment's own step
    fresh: EnvState  # the start of an episode


@struct.dataclass
class AutoReset(StateEnvironment):
    """Plays episode after episode: the step that follows a `last` one begins a new episode.

    The final observation is therefore a row of its own, as bootstrapping through a time limit
    needs it, and no observation is computed or stored twice. The price is one row an episode whose
    action is ignored; losses leave it out (`valid = ~last`), and the metric `env_steps` does not
    count it. Gymnasium 1.0 calls this next-step autoreset.
    """

    env: Environment

    @property
    def groups(self):
        return self.env.groups

    def initial(self, key: Key) -> EnvState:
        """Returns the first state of the first episode."""
        return observable(self.env).initial(key)

    def advance(self, key: Key, state: EnvState, actions: Actions) -> EnvState:
        """Returns the next state, the first of an episode if `state` was the last of one."""
        return self.go_on(self.prepare(key), state, actions)

    def prepare(self, key: Key) -> "Prepared":
        """Returns what a step needs that does not depend on the state."""
        key_reset, key_step = jax.random.split(key)
        return Prepared(key_step, observable(self.env).initial(key_reset))

    def go_on(self, prepared: "Prepared", state: EnvState, actions: Actions) -> EnvState:
        """Returns what `advance` does, from what its key was made into."""
        world = observable(self.env)
        following = world.advance(prepared.key, state, actions)
        return select(world.observe(state).last, prepared.fresh, following)

    def observe(self, state: EnvState) -> TimeStep:
        """Returns the environment's time step."""
        return observable(self.env).observe(state)


@struct.dataclass
class Episode:
    """An episode so far; final where the time step is last."""

    returns: jax.Array  # [num_teams] f32, of the team's reward, the mean over its members
    length: jax.Array  # [] int32, steps
    winner: jax.Array  # [] int32, a team, or -1 for a draw, a lone team, or not yet
    team_figures: Mapping[str, jax.Array] = struct.field(default_factory=dict)  # [num_teams] each


@struct.dataclass
class EpisodeStatisticsState:
    inner: EnvState
    returns: jax.Array  # [num_teams] f32, of the steps before this one
    length: jax.Array  # [] int32, steps


@struct.dataclass
class EpisodeStatistics(StateEnvironment):
    """Adds `extras["episode"]`, an `Episode`, to every time step.

    Wrap it inside AutoReset, which then clears the count with the state. The winner is the one the
    environment names in `extras["winner"]`, or else the team with the highest return at the end.
    An environment that counts more than rewards, as kills, names it in `extras["team_figures"]`,
    name -> [num_teams] of the episode so far: each becomes a metric and a figure of evaluations.

    A step's reward is counted where its time step is observed, and so computed once in a loop that
    observes, acts and advances.
    """

    env: Environment

    @property
    def groups(self):
        return self.env.groups

    def initial(self, key: Key) -> EpisodeStatisticsState:
        """Returns the first state, with nothing counted."""
        inner = observable(self.env).initial(key)
        rewards = jax.eval_shape(observable(self.env).observe, inner).reward.values()
        none = jnp.zeros(num_teams(self.env), jnp.result_type(*rewards))
        return EpisodeStatisticsState(inner, none, jnp.int32(0))

    def advance(
        self, key: Key, state: EpisodeStatisticsState, actions: Actions
    ) -> EpisodeStatisticsState:
        """Returns the next state, the reward of this one counted."""
        world = observable(self.env)
        returns = self._returns(state, world.observe(state.inner))
        inner = world.advance(key, state.inner, actions)
        return EpisodeStatisticsState(inner, returns, state.length + 1)

    def observe(self, state: EpisodeStatisticsState) -> TimeStep:
        """Returns the environment's time step with the episode so far in its extras."""
        timestep = observable(self.env).observe(state.inner)
        returns = self._returns(state, timestep)
        winner = timestep.extras.get("winner", _leader(returns))
        winner = jnp.where(timestep.last, winner, -1).astype(jnp.int32)
        counted = timestep.extras.get("team_figures", {})
        episode = Episode(returns, state.length, winner, counted)
        extras = timestep.extras | {"episode": episode}
        return dataclasses.replace(timestep, extras=extras)

    def _returns(self, state: EpisodeStatisticsState, timestep: TimeStep) -> jax.Array:
        """Returns each team's return, this step's reward among it; nothing is paid at the start."""
        gained = [jnp.zeros((), state.returns.dtype)] * num_teams(self.env)
        for name, group in self.groups.items():
            gained[group.team] += timestep.reward[name].sum()
        sizes = jnp.asarray(team_sizes(self.env), state.returns.dtype)
        paid = jnp.where(state.length > 0, jnp.stack(gained) / sizes, 0)
        return state.returns + paid


def _leader(returns: jax.Array) -> jax.Array:
    """Returns the team with the highest return, -1 if it is shared or there is one team only."""
    alone = (returns == returns.max()).sum() == 1
    return jnp.where(alone & (returns.size > 1), returns.argmax(), -1)


def episodic(env: Environment) -> AutoReset:
    """Returns the environment a learner plays in: statistics inside, automatic reset around."""
    return AutoReset(EpisodeStatistics(env))


def episode_metrics(
    env: Environment, timestep: TimeStep, played: jax.Array | None = None
) -> dict[str, jax.Array]:
    """Returns means over the episodes that ended in a batch of time steps [...]; NaN if none did.

    `episode_length`; per team its return, see `return_figures`, and `episode_win_<team>` (without
    the name where there is one team, and then only where the world names winners); what the world
    counts of each team, see `counted_figures`; `episode_count`; against a pool `opponent_metrics`.
    And `env_steps`, how many steps were played: summed over updates, they are the time that
    learning curves are drawn over.

    Args:
      env: the environment.
      timestep: leaves [...].
      played: [...] bool, whether an action was taken; None: in these time steps, if they are no
        episode's last.
    """
    played = ~timestep.last if played is None else played
    episode, ended = timestep.extras["episode"], timestep.last
    count = ended.sum().astype(jnp.float32)

    def mean(x):  # 0 / 0 is NaN: no episode, no figure
        return jnp.where(ended, x, 0).sum().astype(jnp.float32) / count

    metrics = {"episode_length": mean(episode.length), "episode_count": count}
    metrics |= {"env_steps": played.sum().astype(jnp.float32)}
    found = return_figures(env, episode.returns) | counted_figures(env, episode)
    metrics |= {f"episode_{name}": mean(figure) for name, figure in found.items()}
    for team, suffix in enumerate(team_suffixes(env)):
        if suffix or "winner" in timestep.extras:
            metrics[f"episode_win{suffix}"] = mean(episode.winner == team)
    if "opponent" in timestep.extras:
        metrics |= opponent_metrics(num_teams(env), timestep)
    return metrics


def opponent_metrics(num_teams: int, timestep: TimeStep) -> dict[str, jax.Array]:
    """Returns what came of the episodes against each of K opponents that ended in time steps [...].

    `opponent_games_<k>`, how many, and `opponent_score_<k>`, those won and half of those drawn.

    Args:
      num_teams: of the learners; team numbers from there on are the opponents'.
      timestep: leaves [...], with `extras["opponent"]` [..., K].
    """
    winner = timestep.extras["episode"].winner
    score = jnp.where(winner < 0, 0.5, winner < num_teams)
    games = jnp.where(timestep.last[..., None], timestep.extras["opponent"], 0.0)
    games = games.reshape(-1, games.shape[-1])
    found = {"games": games.sum(0), "score": score.reshape(-1) @ games}
    return {
        f"opponent_{name}_{k}": count
        for name, counts in found.items()
        for k, count in enumerate(counts.astype(jnp.float32))
    }
