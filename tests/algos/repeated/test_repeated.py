"""Learning in matrix games, against what is known of the games and of the dynamics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated import fmq, gradient, jal
from jaxmarl_core.algos.repeated.engine import Config
from jaxmarl_core.algos.repeated.fictitious_play import fictitious_play, smooth_fictitious_play
from jaxmarl_core.algos.repeated.gradient import giga, giga_wolf, iga
from jaxmarl_core.algos.repeated.no_regret import (
    multiplicative_weights,
    regret_matching,
    regret_matching_plus,
    regret_strategy,
)
from jaxmarl_core.algos.repeated.replicator import replicator, replicator_step
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import battle, matrix_game
from jaxmarl_core.envs.matrix_games import from_payoffs
from jaxmarl_core.train import Schedule, make_train


def trained(build, env, num_rounds, num_seeds, length=250, **hparams):
    """Returns the players' final entries, leaves [num_seeds, ...], in a tuple."""
    algorithm = build(env, Config(length))
    train, _ = make_train(algorithm, env, Schedule(num_rounds // length))
    hparams = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    keys = jax.random.split(jax.random.key(0), num_seeds)
    tables = jax.jit(jax.vmap(train, (0, None)))(keys, hparams)[0].params.tables
    return tuple(jax.tree.map(lambda x: x[:, 0, 0], table) for table in tables.values())


def settled(build, env, num_updates, num_seeds, config, **hparams):
    """Returns the greedy joint action of each seed, [num_seeds, N]."""
    algorithm = build(env, config)
    train, _ = make_train(algorithm, env, Schedule(num_updates))
    hparams = algorithm.hparams.replace(**{n: jnp.float32(v) for n, v in hparams.items()})
    timestep = env.reset(jax.random.key(0))[1]

    def play(key):
        params = train(key, hparams)[0].params
        return algorithm.policy.greedy(params, jax.random.key(1), timestep, ())[0]["agents"]

    return np.asarray(jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(0), num_seeds)))


def game(name):
    return matrix_game(name, num_rounds=None)


def furthest(entries, field, equilibrium):
    """The largest distance of any probability from the equilibrium, per seed, [num_seeds]."""
    gaps = [
        np.abs(np.asarray(getattr(entry, field)) - np.asarray(equilibrium)) for entry in entries
    ]
    return np.max([gap.max(axis=-1) for gap in gaps], axis=0)


PENNIES, ROSHAMBO = [1 / 2] * 2, [1 / 3] * 3


@pytest.mark.fast("regret_matching_plus")
@pytest.mark.parametrize("build", [regret_matching, regret_matching_plus, multiplicative_weights])
def test_averages_without_regret_reach_equilibrium(build):
    entries = trained(build, game("rock_paper_scissors"), 20_000, 4, length=1000)
    assert (furthest(entries, "average", ROSHAMBO) < 0.03).all()


def test_regrets_by_hand():
    np.testing.assert_allclose(regret_strategy(jnp.array([3.0, -1.0, 1.0])), [0.75, 0.0, 0.25])
    np.testing.assert_allclose(regret_strategy(jnp.array([-3.0, -1.0])), [0.5, 0.5])


@pytest.mark.slow
def test_fictitious_play_reaches_the_frequencies_of_robinson_and_cycles_in_shapleys_game():
    def frequencies(name):
        entries = trained(fictitious_play, game(name), 20_000, 4, length=1000, prior_spread=1.0)
        return [np.asarray(entry.counts[i]) / 20_000 for i, entry in enumerate(entries)]

    for found in frequencies("matching_pennies"):
        np.testing.assert_allclose(found, [PENNIES] * 4, atol=0.02)
    # Runs in Shapley's game grow longer by a constant factor, so the frequencies never settle.
    for found in frequencies("shapley"):
        assert (np.abs(found - 1 / 3).max(axis=-1) > 0.03).all()


def test_fictitious_play_counts_by_hand():
    """Matching pennies, one imagined play of each: both play 0; then the second moves away.

    Row wants to match, column not. Ties go to action 0: (0, 0). Row believes (2, 1): 0. Column
    believes (2, 1): 1. Then entry believes (2, 2): tie, 0; column (3, 1): 1. Then entry (2, 3): 1.
    """
    env = game("matching_pennies")
    first, second = trained(fictitious_play, env, 4, 1, length=1)
    np.testing.assert_allclose(first.counts[0][0], [1 + 3, 1 + 1])  # rounds 0, 0, 0, 1
    np.testing.assert_allclose(second.counts[1][0], [1 + 1, 1 + 3])  # rounds 0, 1, 1, 1


@pytest.mark.slow
def test_smooth_fictitious_play_settles_on_the_logit_equilibrium():
    """In a symmetric zero-sum game it is uniform, at any temperature."""
    entries = trained(smooth_fictitious_play, game("rock_paper_scissors"), 20_000, 4, length=1000)
    frequencies = [np.asarray(entry.counts[i]) for i, entry in enumerate(entries)]
    for count in frequencies:
        np.testing.assert_allclose(count / count.sum(-1, keepdims=True), 1 / 3, atol=0.03)


def test_iga_circles_and_its_average_converges():
    entries = trained(iga, game("matching_pennies"), 20_000, 4, length=1000, step_size=1e-3)
    assert (furthest(entries, "average", PENNIES) < 0.03).all()
    assert furthest(entries, "x", PENNIES).mean() > 0.1


@pytest.mark.parametrize(
    ("name", "equilibrium", "bound"),
    # replicated elsewhere after as many rounds: 0.0005, 0.0017 and 0.011
    [
        ("matching_pennies", PENNIES, 0.005),
        pytest.param("rock_paper_scissors", ROSHAMBO, 0.01, marks=pytest.mark.slow),
        pytest.param("tricky", PENNIES, 0.03, marks=pytest.mark.slow),
    ],
)
def test_giga_wolf_converges_where_bowling_shows_it(name, equilibrium, bound):
    entries = trained(giga_wolf, game(name), 20_000, 8, length=1000)
    assert (furthest(entries, "x", equilibrium) < bound).all()


@pytest.mark.slow
def test_giga_wolf_does_not_in_shapleys_game_and_giga_not_even_in_pennies():
    assert furthest(trained(giga_wolf, game("shapley"), 20_000, 4, 1000), "x", ROSHAMBO).min() > 0.1
    assert (
        furthest(trained(giga, game("matching_pennies"), 20_000, 4, 1000), "x", PENNIES).max() > 0.1
    )


def test_giga_wolf_step_by_hand():
    """Step 0.3, gradient (1, 0), both at (.5, .5), round 4: 0.15 and 0.05 along (.5, -.5)."""
    half = jnp.array([0.5, 0.5])
    entry = gradient.Entry(half, half, half, jnp.float32(3))
    x, slow = gradient.giga_wolf_step(entry, jnp.array([1.0, 0.0]), 0.3)
    np.testing.assert_allclose(slow, [0.525, 0.475], rtol=1e-6)
    # x^ = (.575, .425): apart .05 sqrt 2, moved .025 sqrt 2, so half of the way back
    np.testing.assert_allclose(x, [0.55, 0.45], rtol=1e-6)


def test_replicator_by_hand_and_to_the_dominant_action():
    entry = gradient.Entry(jnp.array([0.25, 0.75]), None, None, None)
    x, _ = replicator_step(entry, jnp.array([4.0, 0.0]), 0.1)  # mean 1: grows by 1.3, and 0.9
    np.testing.assert_allclose(x, [0.325, 0.675], rtol=1e-6)
    entries = trained(replicator, game("prisoners_dilemma"), 5_000, 4, 1000, step_size=0.05)
    assert (furthest(entries, "x", [0.0, 1.0]) < 1e-3).all()


def test_fmq_by_hand():
    """Rewards 2, 5, 5, 1 for action 0: Q by rate 1/2; the best came 2 times of 3."""
    info = GameInfo(0, 1, (2, 2), (0, 0), None)
    rule = fmq.rule(info)
    hp = fmq.Hparams(learning_rate=0.5, weight=10.0)
    entry = rule.init(jax.random.key(0), hp)
    for reward in (2.0, 5.0, 5.0, 1.0):
        told = Transition(jnp.int32(0), jnp.int32(0), jnp.float32(reward), *[None] * 7)
        entry, _ = rule.learn(entry, entry, told, hp)
    np.testing.assert_allclose(entry.q, [((1 + 2.5 + 1.5) / 1 - 5 + 2.375 + 0.0), 0.0], atol=3)
    np.testing.assert_allclose(entry.best[0], 5.0)
    np.testing.assert_allclose(entry.frequency[0], 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(fmq.heuristic(entry)[0], entry.q[0] + 10 * 2 / 3 * 5, rtol=1e-6)
    np.testing.assert_allclose(fmq.heuristic(entry)[1], 0.0)  # never tried


def test_jal_expects_what_it_has_seen():
    """Q = [[1, 5], [2, 4]] and the mate played 1 in three of four: (4, 3.5)."""
    rule = jal.rule(GameInfo(0, 1, (2, 2), (0, 0), None))
    entry = jal.Entry(
        jnp.array([[1.0, 5.0], [2.0, 4.0]]), (jnp.zeros(2), jnp.array([1.0, 3.0])), jnp.float32(0)
    )
    every = jnp.ones(2, bool)
    strategy = rule.strategy(entry, every, jnp.float32(2.0))
    np.testing.assert_allclose(jnp.log(strategy[0] / strategy[1]), (4 - 3.5) / 2, rtol=1e-4)
    assert rule.greedy(entry.replace(optimism=jnp.float32(1)), every)[0] == 1.0  # 5 beats 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "penalty", "expected"),
    # share of 1000 runs that end on the optimum: replicated elsewhere, FMQ on the partially
    # stochastic game also published as 988 of 1000
    [
        ("climbing", 0.0, {"il": (0.178, 0.04), "jal": (0.0, 0.0), "fmq": (0.998, 0.01)}),
        ("partially_stochastic_climbing", 0.0, {"il": (0.197, 0.06), "fmq": (0.990, 0.01)}),
        ("fully_stochastic_climbing", 0.0, {"fmq": (0.17, 0.06)}),
        ("penalty", 0.0, {"il": (0.93, 0.04), "jal": (0.725, 0.05), "fmq": (1.0, 0.005)}),
        ("penalty", -10.0, {"il": (0.694, 0.06), "jal": (0.023, 0.03), "fmq": (1.0, 0.005)}),
        ("penalty", -50.0, {"il": (0.462, 0.06), "jal": (0.0, 0.01), "fmq": (1.0, 0.005)}),
        ("penalty", -100.0, {"il": (0.402, 0.06), "fmq": (0.945, 0.03)}),
    ],
)
def test_who_finds_the_optimum_of_claus_and_boutilier(name, penalty, expected):
    env = matrix_game(name, num_rounds=None, penalty=penalty)
    team = np.asarray(env.payoffs[0])
    builds = {"il": (fmq.fmq, {"weight": 0.0}), "jal": (jal.jal, {}), "fmq": (fmq.fmq, {})}
    for label, (share, tolerance) in expected.items():
        build, hparams = builds[label]
        joint = settled(build, env, 10, 1000, Config(100), **hparams)
        found = (team[joint[:, 0], joint[:, 1]] == team.max()).mean()
        assert abs(found - share) <= tolerance, f"{label}: {found}"


def test_players_must_know_the_game():
    with pytest.raises(ValueError, match="env: expected a matrix game, with its payoffs"):
        iga(battle())
    with pytest.raises(ValueError, match="env: expected a matrix game without memory"):
        iga(matrix_game("chicken", memory=True))


def test_many_games_in_one_program():
    """Payoffs are leaves: two games side by side, each solved by its own dominant action."""
    games = np.zeros((2, 2, 2, 2), np.float32)
    games[0, 0, 1], games[0, 1, :, 1] = 1, 1  # both are paid for action 1
    games[1, 0, 0], games[1, 1, :, 0] = 1, 1  # and here for action 0
    env = from_payoffs(games[0], num_rounds=None)

    def run(payoffs, key):
        world = env.replace(payoffs=payoffs)
        algorithm = replicator(world, Config(500))
        train, _ = make_train(algorithm, world, Schedule(2))
        return train(key, algorithm.hparams)[0].params.tables

    tables = jax.jit(jax.vmap(run, (0, None)))(jnp.asarray(games), jax.random.key(0))
    for table in tables.values():
        np.testing.assert_allclose(table.x[:, 0, 0], [[0, 1], [1, 0]], atol=0.01)
