"""Minimax-Q against hand-worked steps, scipy's linear programs and exactly solved games."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from game_oracles import minimax, oracle
from stage_runs import ALWAYS_EXPLORE, learned, start_of

from jaxmarl_core.algos.tabular import minimax_q as module
from jaxmarl_core.algos.tabular.engine import Config, tabular
from jaxmarl_core.algos.tabular.fixed import fixed
from jaxmarl_core.algos.tabular.minimax_q import HPARAMS, minimax_q, rule
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import guarding_territory, matrix_game, soccer_4x2

EVERY = (jnp.ones(2, bool),) * 2


def transition(joint, rewards, discount=1.0, masks=EVERY):
    """What player 1 is told after a joint action in state 0."""
    own = (jnp.int32(0), jnp.int32(joint[1]), jnp.float32(rewards[1]), jnp.float32(discount))
    rest = (jnp.int32(1), None, masks[1], masks[1], jnp.int32(0), jax.random.key(0))
    return Transition(*own, *rest, jnp.array(joint), jnp.array(rewards), None, masks, masks)


def test_one_step_by_hand():
    """Column player, payoffs 3 -1 / -1 1 to it: Q(0, 0) = 3 + 0.5 (1 + 0.5 * 8 - 3) = 4.

    Its maximin over columns (p, 1 - p): 4 p - (1 - p) = -p + (1 - p), p = 2/7, value 3/7.
    """
    column = rule(GameInfo(1, 2, (2, 2), (0, 1), None), "constant")
    hp = HPARAMS.replace(learning_rate=0.5, gamma=0.5)
    entry = column.init(jax.random.key(0), hp)
    assert (entry.values.q == 1).all() and entry.stage.value == 1  # Littman's optimistic start
    entry = entry.replace(values=entry.values.replace(q=jnp.array([[[3.0, -1.0], [-1.0, 1.0]]])))
    ahead = entry.replace(stage=entry.stage._replace(value=jnp.array([8.0])))
    after, metrics = column.learn(entry, ahead, transition([0, 0], [-1.0, 1.0]), hp)
    np.testing.assert_allclose(after.values.q[0], [[4.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_allclose(after.stage.strategy, [2 / 7, 5 / 7], rtol=1e-5)
    np.testing.assert_allclose(after.stage.value, [3 / 7], rtol=1e-5)
    assert not metrics["solver_failure"]
    ended, _ = column.learn(entry, ahead, transition([0, 0], [-1.0, 1.0], 0.0), hp)
    np.testing.assert_allclose(ended.values.q[0, 0, 0], 2.0)  # 3 + 0.5 (1 - 3)


@pytest.mark.parametrize("player", [0, 1])
def test_stage_games_are_solved_on_their_legal_part(player):
    rng = np.random.default_rng(player)
    games = rng.normal(size=(20, 3, 4)).astype(np.float32)
    masks = rng.random((20, 3)) < 0.7, rng.random((20, 4)) < 0.7
    for mask in masks:
        mask[~mask.any(axis=1), 0] = True
    info = GameInfo(player, 1, (3, 4), (0, 1), None)
    solve = jax.jit(jax.vmap(lambda q, *masks: module.solve(info, q[None], masks)))
    found = solve(games, *masks)
    assert found.solved.all()
    for game, first, second, stage in zip(games, *masks, np.asarray(found.value)[:, 0]):
        legal = game[first][:, second]
        np.testing.assert_allclose(stage, minimax(legal.T if player else legal)[0], atol=1e-5)
    assert (np.asarray(found.strategy)[~masks[player]] == 0).all()


def test_what_cannot_be_solved_shows_and_leaves_the_strategy():
    first = rule(GameInfo(0, 1, (2, 2), (0, 1), None), "constant")
    hp = HPARAMS.replace(learning_rate=1.0)
    entry = first.init(jax.random.key(0), hp)
    after, metrics = first.learn(entry, entry, transition([0, 0], [jnp.nan, 0.0]), hp)
    assert metrics["solver_failure"] == 1
    np.testing.assert_array_equal(after.stage.strategy, [0.5, 0.5])


def guarded(rules=None):
    """Start's value [4 seeds] and strategy [4, 2] of the defender and invader of a territory."""
    env = guarding_territory()
    config = Config(200, rate="constant")  # deterministic: a rate of 1 learns exact values
    algorithm = tabular(env, config, rules, HPARAMS) if rules else minimax_q(env, config)
    tables, _ = learned(algorithm, env, 1000, 4)
    start = start_of(env)
    stages = [table.stage for table in tables.values() if hasattr(table, "stage")]
    return [(stage.value[:, 0, start, 0], stage.strategy[:, 0, start]) for stage in stages]


@pytest.mark.slow
def test_guarding_a_territory_is_worth_minus_four_and_a_coin():
    """Schwartz, 2014, ch. 4: V_D(s1) = -4 at gamma 0.9, both sides one half each."""
    (defends, guard), (invades, enter) = guarded()
    np.testing.assert_allclose(defends, -4, atol=1e-4)
    np.testing.assert_allclose(invades, 4, atol=1e-4)
    np.testing.assert_allclose(np.stack([guard, enter]), 0.5, atol=1e-4)


@pytest.mark.slow
def test_what_is_learnt_does_not_depend_on_the_other():
    ((value, strategy),) = guarded(
        {"defender": lambda info: rule(info, "constant"), "invader": fixed}
    )
    np.testing.assert_allclose(value, -4, atol=1e-4)
    np.testing.assert_allclose(strategy, 0.5, atol=1e-4)


def test_the_paper_has_two_players():
    with pytest.raises(ValueError, match="minimax_q: expected two players, got 3"):
        minimax_q(matrix_game("coordination", num_agents=3))


@pytest.mark.slow
def test_soccer_is_learnt_to_its_exact_values():
    """4 x 2 cells, gamma 0.9, from every state: what Hoffman & Karp's iteration found."""
    env = soccer_4x2()
    playing = ~np.asarray(jax.vmap(lambda s: env.terminal(env.decode(s)))(jnp.arange(112)))
    exact = oracle("markov.npz")["soccer24_V"][:112][playing]
    algorithm = minimax_q(env, Config(1000, rate="hyperbolic"))
    numbers = {"first_value": 0.0, "rate_period": 1e4, **ALWAYS_EXPLORE}
    tables, _ = learned(algorithm, env, 100_000, 4, **numbers)
    for sign, table in zip((1, -1), tables.values()):
        value = sign * np.asarray(table.stage.value)[:, 0, playing, 0]
        # of a range of 200; the rate ends at 1/11
        assert np.abs(value - exact).mean() < 3
