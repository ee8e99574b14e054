"""MetaStrategy: its phases by hand, and its three promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated import meta_strategy
from jaxmarl_core.algos.repeated.cross_play import by_player, exploit_fictitious_play, stationary
from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.repeated.meta_strategy import LEADING, SETTLED, TRYING, Hparams, rule
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train

EVERY = jnp.ones(2, bool)


def game(name):
    return matrix_game(name, num_rounds=None)


class Player:
    """One info of a game, told what was played."""

    def __init__(self, name, info=0, **hparams):
        self.rule = rule(GameInfo(info, 1, (2, 2), (0, 1), game(name).payoffs))
        self.hp = Hparams(**hparams)
        self.entry = self.rule.init(jax.random.key(0), self.hp)
        self.info = info
        self.learn = jax.jit(self.rule.learn)

    def told(self, action, reward, times=1):
        joint = jnp.array([action, action])  # only the other's part is looked at
        for _ in range(times):
            told = Transition(*[None] * 9, jax.random.key(0))
            told = told._replace(joint_action=joint, reward=jnp.float32(reward))
            self.entry, self.metrics = self.learn(self.entry, None, told, self.hp)
        return np.asarray(self.rule.strategy(self.entry, EVERY, 0.0))


def test_it_leads_where_the_other_follows():
    """Chicken: as leader it dares, row 1, for 1; that pays, and the other moves: it goes on."""
    player = Player("chicken", leading=4.0, trying=4.0)
    assert (player.told(1, 0.0, 3) == [0, 1]).all() and player.entry.phase == LEADING
    player.told(1, 1.0)
    assert player.entry.phase == TRYING and player.entry.left == 4
    player.hp = player.hp.replace(yielding=0.0, recent=1.0)
    assert (player.told(0, 1.0, 4) == [0, 1]).all()
    assert player.entry.phase == SETTLED and player.entry.leads


def test_it_yields_where_leading_does_not_pay():
    """Chicken against one who dares, too: -10 is not 1. It gives up, and swerves."""
    player = Player("chicken", leading=2.0, trying=5.0, yielding=1.0, recent=1.0)
    assert (player.told(1, -10.0, 2) == [0, 1]).all()
    assert (player.told(1, -10.0) == [1, 0]).all()
    assert not player.entry.leads


def test_it_answers_one_who_is_stationary():
    """Tricky, the row: 3/4 of column 0 is worth 3/4 above, 5/4 below. A lead, and its 2.5, would

    have been half and half. The frequencies of both phases are alike.
    """
    player = Player("tricky", leading=4.0, trying=4.0, yielding=0.0)
    for _ in range(2):
        np.testing.assert_allclose(player.told(0, 3.0, 3), [0.5, 0.5], atol=1e-6)
        strategy = player.told(1, 3.0)
    assert player.entry.phase == SETTLED and not player.entry.leads
    np.testing.assert_allclose(strategy, [0, 1])


def test_it_is_safe_below_the_security_value_and_only_then():
    """Pennies secure 0, less .02 of a range of 2: -.04."""
    player = Player("matching_pennies", leading=1.0, trying=1.0, block=2.0, yielding=0.0)
    player.told(0, 0.0, 2)
    assert not player.entry.safe
    strategy = player.told(0, -1.0, 2)
    assert player.entry.safe and player.metrics["safe"]
    np.testing.assert_allclose(strategy, [0.5, 0.5], atol=1e-6)
    player.told(0, 1.0, 2)
    assert not player.entry.safe  # 0 in all
    player.told(0, -0.06, 2)  # -.12 in 8 rounds
    assert not player.entry.safe
    np.testing.assert_allclose(player.metrics["floor"], -0.04, atol=1e-6)


@pytest.fixture(scope="module")
def payoffs():
    """Average payoffs of MetaStrategy's last rounds, [8 seeds], in three kinds of company."""

    def play(name, other, num_rounds):
        env = game(name)
        rules = rule if other is None else by_player(rule, other)
        algorithm = repeated(env, Config(1000), rules, Hparams(leading=500.0, trying=500.0))
        train, _ = make_train(algorithm, env, Schedule(num_rounds // 1000))
        keys = jax.random.split(jax.random.key(0), 8)
        return jax.jit(jax.vmap(train, (0, None)))(keys, algorithm.hparams)[1]

    return play


@pytest.mark.slow
def test_the_best_response_to_a_stationary_opponent(payoffs):
    """Rock, paper, scissors against (.6, .3, .1): paper, worth .5."""
    metrics = payoffs("rock_paper_scissors", stationary([0.6, 0.3, 0.1]), 8000)
    np.testing.assert_allclose(metrics["reward_player_0"][:, -3:].mean(1), 0.5, atol=0.06)


@pytest.mark.slow
def test_never_much_less_than_the_security_value(payoffs):
    """The adversary wins every round of fictitious play; 0, less .02 of 2.

    Before it may retreat it loses 500 rounds at most, .025 in 20,000.
    """
    metrics = payoffs("rock_paper_scissors", exploit_fictitious_play, 20_000)
    assert (metrics["reward_player_0"].mean(1) > -0.04 - 0.025 - 0.01).all()
    assert (metrics["safe_player_0"][:, -1] > 0).any()


def test_two_players_only():
    with pytest.raises(ValueError, match="meta_strategy: expected two players, got 3"):
        meta_strategy.meta_strategy(matrix_game("coordination", num_agents=3))
