"""From an algorithm to `train(key, hparams)`: one pure function, one XLA program, a whole run.

Names no algorithm and no environment.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.play.evaluate import evaluate, summary
from jaxmarl_core.play.policies import Player, joint
from jaxmarl_core.types import (
    MAY_OVERFLOW,
    MEASURED_AT_TIMES,
    Algorithm,
    Environment,
    Hparams,
    Key,
    Metrics,
    Params,
    State,
)


class Schedule(NamedTuple):
    """How long a run is, and when and how it is evaluated. All static."""

    num_updates: int
    evaluate_every: int = 0  # updates between evaluations; 0: never
    num_episodes: int = 16
    episode_length: int = 1000  # at most this many steps
    opponents: Mapping[str, Player] = {}  # group -> who plays it instead of the learner
    greedy: bool = True


def _check(env: Environment, schedule: Schedule) -> None:
    for field in ("num_updates", "num_episodes", "episode_length"):
        value = getattr(schedule, field)
        require(value >= 1, field, "at least 1", value)
    every = schedule.evaluate_every
    require(every >= 0, "evaluate_every", "at least 0 (0: never)", every)
    for name in schedule.opponents:
        if name not in env.groups:
            raise ValueError(unknown("opponents", name, env.groups))


def make_evaluation(
    algorithm: Algorithm, env: Environment, schedule: Schedule
) -> Callable[[Key, Params], Metrics]:
    """Returns the function that plays the schedule's evaluation episodes with given parameters."""

    def evaluation(key: Key, params: Params) -> Metrics:
        learner = Player(algorithm.policy, params)
        players = {name: schedule.opponents.get(name, learner) for name in env.groups}
        player = joint(env, players) if schedule.opponents else learner
        episode = evaluate(
            key, env, player, schedule.num_episodes, schedule.episode_length, schedule.greedy
        )
        return {f"eval_{name}": figure for name, figure in summary(env, episode).items()}

    return evaluation


def make_train(
    algorithm: Algorithm, env: Environment, schedule: Schedule
) -> tuple[Callable, Callable]:
    """Returns `train(key, hparams)` and `resume(key, state, hparams, first)`, both pure.

    Both run `schedule.num_updates` updates and return (state, metrics) with metrics [num_updates]
    f32. `resume` starts at update number `first` [] int32. Randomness hangs on the number of the
    update, so that a run cut into segments of one program equals one that was never interrupted
    bit for bit. `train(key, hp)` is `resume(run_key, algorithm.init(init_key, hp), hp, 0)` with
    `init_key, run_key` from `split(key)`, up to rounding: it is another program.

    Beside the algorithm's own metrics there are the evaluation's as `eval_...`, NaN in updates
    without one, and `finite`: 1 until a parameter, a loss or another metric is no finite number,
    and 0 from then on, as what follows is not to be trusted; see `is_sound` for what may be none.
    A call of `resume` knows nothing of the calls before: who joins their metrics has 0 stay 0
    (store.sweep_folder.read does).

    Args:
      algorithm: what learns.
      env: the bare environment it is evaluated in.
      schedule: how long, and how evaluated.

    Raises:
      ValueError: a field of the schedule is out of range, or an opponent's group is unknown.
    """
    _check(env, schedule)
    evaluation = make_evaluation(algorithm, env, schedule)

    def evaluated(key: Key, params: Params, update_index: jax.Array) -> Metrics:
        if not schedule.evaluate_every:
            return {}
        shape = jax.eval_shape(evaluation, key, params)
        nothing = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shape)
        # one number for all runs of a sweep, so that this stays a branch under vmap
        due = (update_index + 1) % schedule.evaluate_every == 0
        return jax.lax.cond(due, evaluation, lambda *_: nothing, key, params)

    def resume(key: Key, state: State, hparams: Hparams, first=0) -> tuple[State, Metrics]:
        def update(carry, update_index):
            state, finite = carry
            key_update, key_evaluate = jax.random.split(jax.random.fold_in(key, update_index))
            state, metrics = algorithm.update(key_update, state, hparams, update_index)
            metrics = metrics | evaluated(key_evaluate, state.params, update_index)
            finite &= all_finite(state.params) & is_sound(metrics)
            return (state, finite), metrics | {"finite": finite.astype(jnp.float32)}

        start = state, jnp.bool_(True)
        update_indices = first + jnp.arange(schedule.num_updates)
        (state, _), metrics = jax.lax.scan(update, start, update_indices)
        return state, metrics

    def train(key: Key, hparams: Hparams) -> tuple[State, Metrics]:
        key_init, key_run = jax.random.split(key)
        return resume(key_run, algorithm.init(key_init, hparams), hparams, 0)

    return train, resume


def all_finite(tree) -> jax.Array:
    """Returns [] bool: whether every float of the pytree is a finite number."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves] or [jnp.bool_(True)]).all()


def is_sound(metrics: Metrics) -> jax.Array:
    """Returns [] bool: whether no metric says that the run diverged.

    All must be finite numbers, but for figures that are NaN where there was nothing to measure
    (`types.MEASURED_AT_TIMES`), and statistics that may overflow while learning goes on
    (`types.MAY_OVERFLOW`).
    """
    wrong = [
        jnp.isinf(x) if name.startswith(MEASURED_AT_TIMES) else ~jnp.isfinite(x)
        for name, x in metrics.items()
        if not name.startswith(MAY_OVERFLOW)
    ]
    return ~jnp.stack([*wrong, jnp.bool_(False)]).any()
