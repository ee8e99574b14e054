"""Playing whole episodes to see how good a policy is, inside the compiled program."""

import jax
import jax.numpy as jnp

from jaxmarl_core.functional.trees import select
from jaxmarl_core.play.policies import Player
from jaxmarl_core.play.rollout import Play, acting, begin
from jaxmarl_core.play.wrappers import (
    Episode,
    EpisodeStatistics,
    bare,
    counted_figures,
    return_figures,
    team_suffixes,
)
from jaxmarl_core.types import Environment, EnvState, Key


def episode_length(env: Environment, asked: int = 0) -> int:
    """Returns how many steps an episode is played at most: as asked, or to its own time limit.

    1000 where neither is known.
    """
    return asked or getattr(env, "max_steps", None) or 1000


def evaluate(
    key: Key, env: Environment, player: Player, num_episodes: int, length: int, greedy: bool = True
) -> Episode:
    """Returns the statistics of `num_episodes` episodes played side by side, leaves [num_episodes].

    Args:
      key: randomness.
      env: the bare environment (no automatic reset).
      player: who plays all groups; see `policies.joint` for a different player in each group.
      num_episodes: static.
      length: at most this many steps; an episode that is still going then is counted as it stands,
        without a winner.
      greedy: whether the player takes the mode of its policy or draws from it.
    """
    env = EpisodeStatistics(env)
    act = acting(player.policy, player.params, greedy)
    key_begin, key_play = jax.random.split(key)
    start = jax.vmap(lambda key: begin(key, env, player.policy.memory()))
    play = start(jax.random.split(key_begin, num_episodes))

    def one(key, env_state, timestep, memory):
        key_act, key_env = jax.random.split(key)
        actions, memory, _ = act(key_act, timestep, memory)
        return *env.step(key_env, env_state, actions), memory

    def step(carry):
        play, episode, done, t = carry
        keys = jax.random.split(jax.random.fold_in(key_play, t), num_episodes)
        env_state, timestep, memory = jax.vmap(one)(
            keys, play.env_state, play.timestep, play.memory
        )
        episode = jax.vmap(select)(done, episode, timestep.extras["episode"])
        play = play.replace(env_state=env_state, timestep=timestep, memory=memory)
        return play, episode, done | timestep.last, t + 1

    first = play.timestep.extras["episode"], play.timestep.last, jnp.int32(0)
    going = lambda carry: (carry[3] < length) & ~carry[2].all()
    return jax.lax.while_loop(going, step, (play, *first))[1]


def record(
    key: Key, env: Environment, player: Player, length: int, greedy: bool = True
) -> tuple[EnvState, Episode, jax.Array]:
    """Returns one episode step by step: (states, episode so far, last), leaves [length + 1, ...].

    Rows after the first `last` one mean nothing. Arguments as in `evaluate`.
    """
    env = EpisodeStatistics(env)
    act = acting(player.policy, player.params, greedy)
    key_begin, key_play = jax.random.split(key)

    def row(play):
        return bare(play.env_state.inner), play.timestep.extras["episode"], play.timestep.last

    def step(play, key):
        key_act, key_env = jax.random.split(key)
        actions, memory, _ = act(key_act, play.timestep, play.memory)
        play = Play(*env.step(key_env, play.env_state, actions), memory)
        return play, row(play)

    play = begin(key_begin, env, player.policy.memory())
    _, rows = jax.lax.scan(step, play, jax.random.split(key_play, length))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), row(play), rows)


def episode_figures(env: Environment, episode: Episode) -> dict[str, jax.Array]:
    """Returns what is told of each of R episodes, name -> [R]; `summary` has their means.

    `length`; per team its return, see `wrappers.return_figures`, and `win_<team>`, whether it won
    (`win` where there is one team and the world names winners); what the world counts of each team,
    see `wrappers.counted_figures`.
    """
    first = jax.eval_shape(env.reset, jax.random.key(0))[1]
    figures = {"length": episode.length, **return_figures(env, episode.returns)}
    for team, suffix in enumerate(team_suffixes(env)):
        if suffix or "winner" in first.extras:
            figures[f"win{suffix}"] = episode.winner == team
    return figures | counted_figures(env, episode)


def summary(env: Environment, episode: Episode) -> dict[str, jax.Array]:
    """Returns means over episodes [R] under the names a results table uses, each [] f32."""
    found = episode_figures(env, episode)
    return {name: figure.mean(dtype=jnp.float32) for name, figure in found.items()}
