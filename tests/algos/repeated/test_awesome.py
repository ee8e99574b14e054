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
from jaxmarl_core.algos.repeated.cross_play import by_player, stationary
from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
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
        self.rule = rule(GameInfo(0, 1, (2, 2), (0, 1), PENNIES.payoffs))
        self.hp = Hparams(tolerance=tolerance)
        self.entry = self.rule.init(jax.random.key(0), self.hp)

    def play(self, mine, theirs, key=0):
        """An epoch in which both play action 0 with these shares, but for its last round."""
        share = lambda p: jnp.array([p, 1 - p]) * 1e6
        entry = self.entry.replace(counts=(share(mine), share(theirs)), left=jnp.float32(1))
        told = Transition(*[None] * 9, jax.random.key(key))._replace(
            joint_action=jnp.zeros(2, jnp.int32)
        )
        self.entry, _ = self.rule.learn(entry, entry, told, self.hp)
        return self.entry


def test_an_epoch_goes_on_until_it_is_full():
    """Tolerance 1/10: 4 * 2^1.5 * 3 / .01 = 3394.1, so 3395 rounds."""
    epochs = Epochs()
    assert epochs.entry.left == 3395
    told = Transition(*[None] * 9, jax.random.key(0))._replace(joint_action=jnp.array([0, 1]))
    entry, _ = epochs.rule.learn(epochs.entry, epochs.entry, told, epochs.hp)
    assert entry.left == 3394 and entry.epoch == 0
    np.testing.assert_allclose(entry.counts, [[1, 0], [0, 1]])


def test_everybody_at_equilibrium_is_believed():
    entry = Epochs().play(0.5, 0.45)  # within .1 / sqrt 2
    assert entry.believes and entry.epoch == 1 and entry.restarts == 0
    np.testing.assert_allclose(entry.strategy, [0.5, 0.5])
    assert entry.left == np.ceil(4 * 3**1.5 * 4 / 0.01)


def test_who_leaves_the_equilibrium_is_answered_and_who_moves_starts_all_anew():
    epochs = Epochs(tolerance=0.01)
    entry = epochs.play(0.5, 0.8)  # away from 1/2
    assert not entry.believes and entry.tried
    assert sorted(np.asarray(entry.strategy)) == [0, 1]  # a pure action, drawn
    tried = int(entry.strategy[0])
    entry = epochs.play(float(tried), 0.8)  # its own change is forgiven
    # matching pays .6 more than 0, and 1.2 more than mismatching: above 2 * 2 * 2 * .01 / sqrt 4
    np.testing.assert_allclose(entry.strategy, [1, 0])
    assert entry.epoch == 2 and not entry.tried
    entry = epochs.play(1.0, 0.8)
    if not tried:  # it has changed from 1 to 0, so that all begin anew
        assert entry.restarts == 1 and entry.believes and entry.epoch == 0
        return
    assert entry.restarts == 0 and entry.epoch == 3
    entry = epochs.play(1.0, 0.5)
    assert entry.restarts == 1 and entry.believes and entry.epoch == 0
    np.testing.assert_allclose(entry.strategy, [0.5, 0.5])


def test_a_gain_within_the_margin_is_left_alone():
    epochs = Epochs(tolerance=0.1)
    epochs.play(0.5, 0.6)
    entry = epochs.entry.replace(strategy=jnp.array([0.0, 1.0]))
    epochs.entry = entry
    # matching pays .4 more, the margin is 2 * 2 * 2 * .1 / sqrt(1 + 3) = .4, less rounding below
    assert epochs.play(0.0, 0.599).strategy[1] == 1
    epochs.entry = entry
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

    def epsilon_soft(env, algorithm, num_rounds):
        train, _ = make_train(algorithm, env, Run(num_rounds // algorithm.env_steps))
        tables = jax.jit(jax.vmap(train, (0, None)))(keys, algorithm.hparams)[0].params.tables
        return [np.asarray(table.strategy[:, 0, 0]) for table in list(tables.values())[:1]]

    (first,) = epsilon_soft(env, algorithm, 32_000)
    np.testing.assert_allclose(first, [[1, 0]] * 16)
    rules = by_player(rule, stationary([0.3, 0.7]))
    algorithm = repeated(PENNIES, Config(1000), rules, Hparams())
    (first,) = epsilon_soft(PENNIES, algorithm, 100_000)
    assert (first[:, 1] == 1).mean() >= 0.7  # every other try fails, and takes 28,000 rounds
