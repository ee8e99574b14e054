"""Different rules in one game, by what each of them is known to do."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated import fictitious_play, gradient, wolf_iga
from jaxmarl_core.algos.repeated.cross_play import (
    by_player,
    exploit_fictitious_play,
    restarting,
    stationary,
    with_hparams,
)
from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular import wolf_phc
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train

FIRST = partial(gradient.rule, step=gradient.giga_step)


def game(name):
    return matrix_game(name, num_rounds=None)


def trained(env, rules, hparams, num_rounds, length=50):
    """Returns (entries of every learner without the leading axes, metrics)."""
    algorithm = repeated(env, Config(length), rules, hparams)
    train, _ = make_train(algorithm, env, Schedule(num_rounds // length))
    state, metrics = jax.jit(train)(jax.random.key(0), algorithm.hparams)
    tables = state.params.tables
    return {name: jax.tree.map(lambda x: x[0, 0], entry) for name, entry in tables.items()}, metrics


def test_two_rules_with_numbers_of_their_own():
    """GIGA against one who always plays action 0 of pennies ends there; IGA of no step stays."""
    rules = by_player(FIRST, stationary([1.0, 0.0]))
    entries, metrics = trained(
        game("matching_pennies"), rules, gradient.Hparams(step_size=0.5), 100
    )
    np.testing.assert_allclose(entries["player_0"].x, [1, 0])
    np.testing.assert_allclose(entries["player_1"], [1, 0])
    assert metrics["reward_player_0"][-1] == 1
    still = with_hparams(gradient.rule, gradient.Hparams(step_size=0.0, start_spread=0.0))
    entries, _ = trained(game("matching_pennies"), by_player(FIRST, still), gradient.Hparams(), 100)
    np.testing.assert_allclose(entries["player_1"].x, [0.5, 0.5])


def test_rules_apart_in_a_team_too():
    """A team is one group; PHC minds its own affairs, and learns beside one who never learns."""
    numbers = wolf_phc.HPARAMS.replace(learning_rate=0.5, win_step=0.1)
    rules = by_player(wolf_phc.rule, stationary([0.0, 1.0]))
    entries, _ = trained(game("coordination"), rules, numbers, 200)
    assert set(entries) == {"agents_0", "agents_1"}
    np.testing.assert_allclose(entries["agents_0"].pi, [0, 1], atol=1e-6)


def test_the_adversary_of_fictitious_play_always_wins():
    rules = by_player(fictitious_play.rule, exploit_fictitious_play)
    _, metrics = trained(game("rock_paper_scissors"), rules, fictitious_play.Hparams(), 200)
    np.testing.assert_array_equal(metrics["reward_player_1"], 1)


def test_a_restart_after_every_so_many_rounds():
    info = GameInfo(0, 1, (2, 2), (0, 1), game("chicken").payoffs)
    rule = restarting(gradient.rule, 3)(info)
    hp, key = gradient.Hparams(), jax.random.key(0)
    entry, rounds, starts = rule.init(key, hp), [], []
    for step in range(7):
        told = Transition(*[None] * 8, jnp.float32(3e9 + step), jax.random.key(step))
        told = told._replace(strategies=(jnp.full(2, 0.5),) * 2)
        entry, _ = rule.learn(entry, entry, told, hp)
        rounds.append(int(entry.entry.rounds))
        starts.append(np.asarray(entry.entry.x))
    assert rounds == [1, 2, 0, 1, 2, 0, 1]
    assert abs(starts[2] - starts[5]).max() > 1e-3  # elsewhere each time


def test_what_a_restart_keeps_is_up_to_the_rule():
    info = GameInfo(0, 1, (2, 2), (0, 1), None)
    keep = lambda entry, fresh: entry.replace(pi=fresh.pi)
    rule = restarting(wolf_phc.rule, 1, keep)(info)
    hp = wolf_phc.HPARAMS.replace(learning_rate=1.0, gamma=0.0, win_step=0.1)
    entry = rule.init(jax.random.key(0), hp)
    every = jnp.ones(2, bool)
    told = Transition(jnp.int32(0), jnp.int32(1), jnp.float32(3), jnp.float32(1), *[None] * 6)
    told = told._replace(mask=every, next_mask=every, step=jnp.int32(0), key=jax.random.key(0))
    entry, _ = rule.learn(entry, entry, told, hp)
    np.testing.assert_allclose(entry.entry.pi, [0.5, 0.5])
    np.testing.assert_allclose(entry.entry.values.q, [0, 3])


def test_wolf_iga_learns_fast_while_it_loses():
    """Pennies from (.7, .3) against (.6, .4): worth .08, more than the equilibrium's 0: it wins.

    The gradient is (.2, -.2), the step .1: by (.02, -.02). Against (.4, .6) it loses: the step is
    .3, and by (-.06, .06).
    """
    rule = wolf_iga.rule(GameInfo(0, 1, (2, 2), (0, 1), game("matching_pennies").payoffs))
    hp = wolf_iga.HPARAMS.replace(step_size=0.1, lose_ratio=3.0)
    x = jnp.array([0.7, 0.3])
    entry = gradient.Entry(x, x, x, jnp.float32(0))
    for theirs, wins, expected in (([0.6, 0.4], 1, [0.72, 0.28]), ([0.4, 0.6], 0, [0.64, 0.36])):
        told = Transition(*[None] * 10)._replace(strategies=(x, jnp.array(theirs)))
        after, metrics = rule.learn(entry, entry, told, hp)
        np.testing.assert_allclose(after.x, expected, atol=1e-6)
        assert metrics["winning"] == wins and not metrics["solver_failure"]


def test_wolf_iga_measures_by_the_equilibrium_it_is_told():
    """Battle of the sexes at (1/2, 1/2) each: worth .75, the row's second equilibrium action .5."""
    info = GameInfo(0, 1, (2, 2), (0, 1), game("battle_of_the_sexes").payoffs)
    half = jnp.full(2, 0.5)
    entry = gradient.Entry(half, half, half, jnp.float32(0))
    told = Transition(*[None] * 10)._replace(strategies=(half, half))
    won = [
        wolf_iga.rule(info, select).learn(entry, entry, told, wolf_iga.HPARAMS)[1]["winning"]
        for select in ("first", "second")
    ]
    assert [bool(w) for w in won] == [False, True]  # against (1, 0), worth 1; against (0, 1), .5


def test_wolf_iga_reports_a_game_without_a_solution():
    info = GameInfo(0, 1, (2, 2), (0, 1), jnp.full((2, 2, 2), jnp.nan))
    half = jnp.full(2, 0.5)
    entry = gradient.Entry(half, half, half, jnp.float32(0))
    told = Transition(*[None] * 10)._replace(strategies=(half, half))
    assert wolf_iga.rule(info).learn(entry, entry, told, wolf_iga.HPARAMS)[1]["solver_failure"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: by_player(FIRST), "rules: expected one for each of 2 players, got 1"),
        (lambda: by_player(FIRST, stationary([1.0])), "strategy: expected 2 probabilities"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        repeated(game("chicken"), Config(4), make(), gradient.Hparams())


def test_a_strategy_sums_to_one_and_a_period_is_positive():
    with pytest.raises(ValueError, match="strategy: expected probabilities that sum to 1"):
        stationary([0.5, 0.6])
    with pytest.raises(ValueError, match="period: expected at least 1, got 0"):
        restarting(FIRST, 0)
