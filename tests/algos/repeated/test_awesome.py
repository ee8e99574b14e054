"""AWESOME: its schedule, its epochs by hand, and what its theorems promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated.awesome import (
    SCHEDULES,
    Hparams,
    Schedule,
    awesome,
    distance,
    require_valid,
    rule,
)
from jaxmarl_core.algos.repeated.cross_play import seated, stationary
from jaxmarl_core.algos.repeated.engine import repeated
from jaxmarl_core.algos.tabular.engine import Config, Seat, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule as Run
from jaxmarl_core.train import make_train

PENNIES = matrix_game("matching_pennies", num_rounds=None)
EVERY = jnp.ones(2, bool)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_actions", [4, 9])
def test_schedules_are_valid_and_their_products_are_not_zero(name, num_actions):
    schedule = SCHEDULES[name](num_actions)
    require_valid(schedule, num_actions)
    t = np.arange(100_000.0)
    for factor in (
        1 - num_actions / (schedule.length(t) * schedule.equilibrium(t) ** 2),
        1 - num_actions / (schedule.length(t) * schedule.stationary(t + 1) ** 2),
    ):
        assert np.prod(np.asarray(factor, np.float64)) > 0.1


def test_the_schedule_of_the_proof_by_hand():
    """t = 0, 4 actions: tolerance 1/2; 4 * 9 / (1 - 1/2) = 72 rounds, so the factor is 1/2."""
    schedule = SCHEDULES["existence"](4)
    assert schedule.equilibrium(0.0) == 0.5
    np.testing.assert_allclose(schedule.length(0.0), 72, rtol=1e-6)
    np.testing.assert_allclose(1 - 4 / (72 * schedule.stationary(1.0) ** 2), 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"length": lambda t: 100 + 0 * t}, "epochs that grow"),
        ({"equilibrium": lambda t: 0.5 + 0 * t}, r"tolerances \(equilibrium\) that fall to 0"),
        ({"length": lambda t: 5 + 1 * t}, "positive factors"),
        # terms fall as 1 / t: the product is 0
        ({"length": lambda t: 100 * (t + 3) ** 2}, r"a product \(equilibrium\) above 0"),
    ],
)
def test_schedules_that_are_not_valid_are_refused(wrong, message):
    good = SCHEDULES["power"](4)._asdict()
    with pytest.raises(ValueError, match=f"schedule: expected {message}"):
        require_valid(Schedule(**(good | wrong)), 4)


class Epochs:
    """One player of pennies, told epochs of whole frequencies at once."""

    def __init__(self, tolerance=0.1):
        self.rule = rule(Seat(0, 1, (2, 2), (0, 1), PENNIES.payoffs))
        self.hp = Hparams(tolerance=tolerance)
        self.row = self.rule.first(jax.random.key(0), self.hp)

    def play(self, mine, theirs, key=0):
        """An epoch in which both play action 0 with these shares, but for its last round."""
        share = lambda p: jnp.array([p, 1 - p]) * 1e6
        row = self.row.replace(counts=(share(mine), share(theirs)), left=jnp.float32(1))
        seen = Transition(*[None] * 9, jax.random.key(key))._replace(joint=jnp.zeros(2, jnp.int32))
        self.row, _ = self.rule.learn(row, row, seen, self.hp)
        return self.row


def test_an_epoch_goes_on_until_it_is_full():
    """Tolerance 1/10: 4 * 2^1.5 * 3 / .01 = 3394.1, so 3395 rounds."""
    epochs = Epochs()
    assert epochs.row.left == 3395
    seen = Transition(*[None] * 9, jax.random.key(0))._replace(joint=jnp.array([0, 1]))
    row, _ = epochs.rule.learn(epochs.row, epochs.row, seen, epochs.hp)
    assert row.left == 3394 and row.epoch == 0
    np.testing.assert_allclose(row.counts, [[1, 0], [0, 1]])


def test_everybody_at_equilibrium_is_believed():
    row = Epochs().play(0.5, 0.45)  # within .1 / sqrt 2
    assert row.believes and row.epoch == 1 and row.restarts == 0
    np.testing.assert_allclose(row.strategy, [0.5, 0.5])
    assert row.left == np.ceil(4 * 3**1.5 * 4 / 0.01)


def test_who_leaves_the_equilibrium_is_answered_and_who_moves_starts_all_anew():
    epochs = Epochs(tolerance=0.01)
    row = epochs.play(0.5, 0.8)  # away from 1/2
    assert not row.believes and row.tried
    assert sorted(np.asarray(row.strategy)) == [0, 1]  # a pure action, drawn
    tried = int(row.strategy[0])
    row = epochs.play(float(tried), 0.8)  # its own change is forgiven
    # matching pays .6 more than 0, and 1.2 more than mismatching: above 2 * 2 * 2 * .01 / sqrt 4
    np.testing.assert_allclose(row.strategy, [1, 0])
    assert row.epoch == 2 and not row.tried
    row = epochs.play(1.0, 0.8)
    if not tried:  # it has changed from 1 to 0, so that all begin anew
        assert row.restarts == 1 and row.believes and row.epoch == 0
        return
    assert row.restarts == 0 and row.epoch == 3
    row = epochs.play(1.0, 0.5)
    assert row.restarts == 1 and row.believes and row.epoch == 0
    np.testing.assert_allclose(row.strategy, [0.5, 0.5])


def test_a_gain_within_the_margin_is_left_alone():
    epochs = Epochs(tolerance=0.1)
    epochs.play(0.5, 0.6)
    row = epochs.row.replace(strategy=jnp.array([0.0, 1.0]))
    epochs.row = row
    # matching pays .4 more, the margin is 2 * 2 * 2 * .1 / sqrt(1 + 3) = .4, less rounding below
    assert epochs.play(0.0, 0.599).strategy[1] == 1
    epochs.row = row
    assert epochs.play(0.0, 0.62).strategy[0] == 1


def test_distance_by_hand():
    a = (jnp.array([0.5, 0.5]), jnp.array([0.2, 0.3, 0.5]))
    b = (jnp.array([0.4, 0.6]), jnp.array([0.2, 0.6, 0.2]))
    np.testing.assert_allclose(distance(a, b), 0.3, rtol=1e-6)


@pytest.mark.slow
def test_self_play_stays_at_equilibrium_and_a_stationary_opponent_is_answered():
    """Chicken's first equilibrium, and the best reply to (.3, .7) in pennies."""
    env = matrix_game("chicken", num_rounds=None)
    algorithm = awesome(env)
    keys = jax.random.split(jax.random.key(0), 16)

    def played(env, algorithm, num_rounds):
        train, _ = make_train(algorithm, env, Run(num_rounds // algorithm.env_steps))
        tables = jax.jit(jax.vmap(train, (0, None)))(keys, algorithm.hparams)[0].params.tables
        return [np.asarray(table.strategy[:, 0, 0]) for table in list(tables.values())[:1]]

    (first,) = played(env, algorithm, 32_000)
    np.testing.assert_allclose(first, [[1, 0]] * 16)
    rules = seated(rule, stationary([0.3, 0.7]))
    algorithm = repeated(PENNIES, Config(1000), rules, Hparams())
    (first,) = played(PENNIES, algorithm, 100_000)
    assert (first[:, 1] == 1).mean() >= 0.7  # every other try fails, and takes 28,000 rounds
