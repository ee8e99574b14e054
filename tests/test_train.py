"""`make_train`: when it evaluates, whom against, and what it says of divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.algos.tabular.engine import Config
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.play.policies import Player
from jaxmarl_core.train import Schedule, all_finite, make_evaluation, make_train
from jaxmarl_core.types import Algorithm, Policy

ENV = matrix_game("prisoners_dilemma", num_rounds=2, memory=True)
ALGORITHM = ALGORITHMS["q_learning"](ENV, Config(rollout_length=6))
KEY = jax.random.key(0)


def always(action):
    """A player of all groups who always takes `action`."""

    def act(params, key, timestep, memory):
        return {name: jnp.full(1, action, jnp.int32) for name in ENV.groups}, memory

    return Player(Policy(lambda: (), act, act), ())


@pytest.fixture(scope="module")
def evaluated():
    schedule = Schedule(7, evaluate_every=3, num_episodes=2, episode_length=5)
    train, _ = make_train(ALGORITHM, ENV, schedule)
    return jax.jit(train)(KEY, ALGORITHM.hparams)


def test_evaluates_in_due_updates_only(evaluated):
    _, metrics = evaluated
    measured = {name: x for name, x in metrics.items() if name.startswith("eval_")}
    assert {"eval_length", "eval_return_player_0", "eval_win_player_1"} <= measured.keys()
    due = np.array([False, False, True, False, False, True, False])
    for name, figures in measured.items():
        np.testing.assert_array_equal(np.isfinite(figures), due, err_msg=name)
    np.testing.assert_array_equal(np.asarray(metrics["eval_length"])[due], 2)


def test_evaluation_does_not_disturb_training(evaluated):
    state, metrics = evaluated
    train, _ = make_train(ALGORITHM, ENV, Schedule(7))
    bare_state, bare = jax.jit(train)(KEY, ALGORITHM.hparams)
    assert not any(name.startswith("eval_") for name in bare)
    table = lambda state: state.params.tables["player_0"].q
    np.testing.assert_array_equal(table(bare_state), table(state))
    for name, figures in bare.items():
        np.testing.assert_array_equal(figures, metrics[name], err_msg=name)


def test_opponents_take_the_learners_place():
    against = {"player_1": always(0)}
    evaluation = make_evaluation(ALGORITHM, ENV, Schedule(1, 1, 3, 5, against))
    state = ALGORITHM.init(KEY, ALGORITHM.hparams)
    ones = lambda table: table.replace(q=table.q.at[..., 1].set(1.0))
    tables = {name: ones(table) for name, table in state.params.tables.items()}
    # the learner always plays 1, its opponent 0
    figures = jax.jit(evaluation)(KEY, state.params.replace(tables=tables))
    paid = 2 * np.asarray(ENV.payoffs)[:, 1, 0]
    np.testing.assert_allclose(figures["eval_return_player_0"], paid[0])
    np.testing.assert_allclose(figures["eval_return_player_1"], paid[1])


def test_train_is_init_then_resume(evaluated):
    whole, metrics = evaluated
    schedule = Schedule(7, evaluate_every=3, num_episodes=2, episode_length=5)
    _, resume = make_train(ALGORITHM, ENV, schedule)
    key_init, key_run = jax.random.split(KEY)
    state = ALGORITHM.init(key_init, ALGORITHM.hparams)
    state, again = jax.jit(resume)(key_run, state, ALGORITHM.hparams, 0)
    table = lambda state: state.params.tables["player_1"].q
    np.testing.assert_array_equal(table(state), table(whole))
    for name, figures in again.items():
        np.testing.assert_array_equal(figures, metrics[name], err_msg=name)


def test_evaluations_fall_in_the_same_updates_when_cut(evaluated):
    """Segments of 4 and 3 updates, of which neither is a multiple of 3."""
    _, metrics = evaluated
    key_init, key_run = jax.random.split(KEY)
    state, figures = ALGORITHM.init(key_init, ALGORITHM.hparams), []
    for first, length in ((0, 4), (4, 3)):
        schedule = Schedule(length, evaluate_every=3, num_episodes=2, episode_length=5)
        _, resume = make_train(ALGORITHM, ENV, schedule)
        state, part = jax.jit(resume)(key_run, state, ALGORITHM.hparams, first)
        figures.append(part["eval_return_player_0"])
    np.testing.assert_array_equal(np.concatenate(figures), metrics["eval_return_player_0"])


@pytest.mark.parametrize(
    ("where", "bad", "marks"),
    [
        ("params", np.nan, True),
        ("loss", np.nan, True),
        ("loss", np.inf, True),
        ("reward", np.nan, True),
        ("episode_return", np.nan, False),  # no episode ended
        ("episode_return", np.inf, True),
        ("kl", np.inf, False),  # a ratio of probabilities that overflowed
        ("kl", np.nan, False),
    ],
)
def test_finite_watches_parameters_losses_and_metrics(where, bad, marks):
    """What is wrong in update 2 alone marks the run for good, but for statistics that may be so."""

    def update(key, state, hparams, index):
        wrong = jnp.where(index == 2, bad, 0.0)
        figures = dict.fromkeys(("loss", "reward", "kl", "episode_return"), jnp.float32(0))
        if where in figures:
            figures[where] = wrong
        else:
            state = {"params": jnp.float32(1) + wrong}
        return Bag(**state) if isinstance(state, dict) else state, figures

    class Bag(dict):
        params = property(lambda self: self["params"])

    jax.tree_util.register_pytree_node(
        Bag, lambda b: ((b["params"],), None), lambda _, x: Bag(params=x[0])
    )
    learner = Algorithm(lambda key, hp: Bag(params=jnp.float32(1)), update, None, (), 1)
    train, _ = make_train(learner, ENV, Schedule(4))
    _, metrics = jax.jit(train)(KEY, ())
    np.testing.assert_array_equal(metrics["finite"], [1, 1, 0, 0] if marks else [1, 1, 1, 1])


def test_all_finite_ignores_what_is_no_float():
    tree = {"count": jnp.int32(3), "key": jax.random.key(0), "x": jnp.ones(2)}
    assert all_finite(tree)
    assert all_finite({"count": jnp.int32(3)})
    assert not all_finite(tree | {"x": jnp.array([1.0, jnp.inf])})


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule(0), "num_updates: expected at least 1, got 0"),
        (Schedule(1, -1), r"evaluate_every: expected at least 0 \(0: never\), got -1"),
        (Schedule(1, 1, 0), "num_episodes: expected at least 1, got 0"),
        (Schedule(1, 1, 1, 0), "episode_length: expected at least 1, got 0"),
        (Schedule(1, opponents={"player_2": always(0)}), "opponents: .* did you mean 'player_"),
    ],
)
def test_an_impossible_schedule_is_refused(schedule, message):
    with pytest.raises(ValueError, match=message):
        make_train(ALGORITHM, ENV, schedule)
