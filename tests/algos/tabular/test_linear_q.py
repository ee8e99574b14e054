"""Linear Q-learning of joint actions: a step by hand, and one-hot features against planning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.tabular import linear_q as module
from jaxmarl_core.algos.tabular.linear_q import (
    Config,
    Hparams,
    Params,
    largest_product,
    linear_q,
    td_step,
    utilitarian,
)
from jaxmarl_core.envs import battle, field_coverage, rendezvous, two_step_game
from jaxmarl_core.solvers.markov_games import backup, markov_game
from jaxmarl_core.train import Schedule, make_train

KEY = jax.random.key(0)
EVERY = (jnp.ones(2, bool),) * 2


def test_one_step_by_hand():
    """Features (1, 2), weights of (0, 1) at (1, 1): 3. Ahead, features (1, 0): the best is 4.

    Error 1 + 0.5 * 4 - 3 = 0, with reward 2: 1; rate 0.1 adds (0.1, 0.2). Where (1, 0), of value
    4, is illegal the best is 1: error 2 + 0.5 - 3 = -0.5.
    """
    weights = jnp.zeros((2, 2, 2)).at[0, 1].set(1.0).at[1, 0, 0].set(4.0)
    now, ahead = jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])
    joint = jnp.int32(0), jnp.int32(1)
    legal = jnp.ones((2, 2), bool)
    after = td_step(weights, joint, now, ahead, legal, 2.0, 0.5, 0.1)
    np.testing.assert_allclose(after[0, 1], [1.1, 1.2], rtol=1e-6)
    np.testing.assert_array_equal(after[1], weights[1])
    after = td_step(weights, joint, now, ahead, legal.at[1, 0].set(False), 2.0, 0.5, 0.1)
    np.testing.assert_allclose(after[0, 1], [0.95, 0.9], rtol=1e-6)
    ended = td_step(weights, joint, now, ahead, legal, 2.0, 0.0, 0.1)
    np.testing.assert_allclose(ended[0, 1], [0.9, 0.8], rtol=1e-6)


def test_joint_actions_by_hand():
    """Products 4, 6, 6, 0: two share. Chicken's best equilibrium by welfare is correlated."""
    q = jnp.array([[[1.0, 2.0], [3.0, 0.0]], [[4.0, 3.0], [2.0, 9.0]]])
    strategy, _ = largest_product(q, EVERY)
    np.testing.assert_allclose(strategy, [[0, 0.5], [0.5, 0]])
    strategy, _ = largest_product(q, (EVERY[0], jnp.array([True, False])))
    np.testing.assert_allclose(strategy, [[0, 0], [1, 0]])
    # Aumann's: (6, 6), (2, 7), (7, 2), (0, 0): 1/2, 1/4, 1/4 is worth 5.25 to each
    chicken = jnp.array([[[6.0, 2.0], [7.0, 0.0]], [[6.0, 7.0], [2.0, 0.0]]])
    strategy, found = utilitarian(chicken, EVERY)
    assert found
    np.testing.assert_allclose(strategy, [[0.5, 0.25], [0.25, 0.0]], atol=1e-4)


def test_a_game_that_cannot_be_solved_is_reported():
    q = jnp.array([[[1.0, 2.0], [jnp.nan, 0.0]]] * 2)
    assert not utilitarian(q, EVERY)[1] and not largest_product(q, EVERY)[1]


@pytest.mark.fast("product")
@pytest.mark.parametrize("joint", ["correlated", "product"])
def test_one_hot_features_learn_what_planning_says(joint):
    """The two-step game, a feature a state: weights are values of joint actions, to 0.9^k of 8."""
    env = two_step_game(observation="features")
    game = markov_game(env)
    value = np.zeros((2, game.num_states))
    for _ in range(3):
        exact = np.asarray(backup(game, jnp.asarray(value, jnp.float32), 0.9))
        value = np.where(game.terminal, 0, exact.reshape(2, game.num_states, -1).max(axis=-1))
    algorithm = linear_q(env, Config(50, joint))
    train, _ = make_train(algorithm, env, Schedule(40))
    hp = Hparams(learning_rate=0.3, epsilon=1.0, final_epsilon=0.5)
    keys = jax.random.split(jax.random.key(0), 4)
    state, metrics = jax.jit(jax.vmap(train, (0, None)))(keys, hp)
    np.testing.assert_array_equal(metrics["solver_failure"], 0)
    for player, weights in enumerate(state.params.weights):
        found = np.moveaxis(np.asarray(weights), -1, 1)[:, :3]
        np.testing.assert_allclose(found, np.broadcast_to(exact[player, :3], found.shape), atol=0.1)


def test_worlds_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="linear_q: needs features, a flat Box"):
        linear_q(rendezvous())
    with pytest.raises(ValueError, match="linear_q: needs features"):
        linear_q(battle())
    crowd = {"num_drones": 6, "rows": 2, "columns": 6, "heights": 1, "field": ((1, 1),)}
    with pytest.raises(ValueError, match=r"linear_q: expected at most 1048576 weights an agent"):
        linear_q(field_coverage(observation="features", **crowd))
    with pytest.raises(ValueError, match="joint: expected one of correlated, product"):
        Config(joint="corelated")


def built_of(env=None):
    return module.build(env or two_step_game(observation="features"), Config(4, "product"))


def test_the_phases_act_on_what_was_built():
    """Joint actions (0, 0) to (1, 1) are worth 1, 2, 5, 3 in the first state: (1, 0) is played."""
    built = built_of()
    assert built.shape == (2, 2) and len(built.num_features) == 2
    hp = Hparams()
    state = module.init(built, jax.random.key(0), hp)
    timestep = state.play.timestep
    phi = next(iter(timestep.observation.values()))[0]
    worth = jnp.array([[1.0, 2.0], [5.0, 3.0]])
    weights = tuple(worth[..., None] * phi for _ in range(2))
    params = Params(weights, jnp.float32(0))
    joint, found = module.act(built, params, jax.random.key(1), timestep, 0.0)
    assert [int(a) for a in joint] == [1, 0] and found
    act = lambda key: module.act(built, params, key, timestep, 1.0)[0]
    drawn = np.stack(jax.jit(jax.vmap(act))(jax.random.split(jax.random.key(2), 400)))
    counts = np.bincount(2 * drawn[0] + drawn[1], minlength=4)
    assert (np.abs(counts - 100) < 5 * np.sqrt(400 * 3 / 16)).all()  # uniform over joint actions


def test_the_dead_and_the_step_after_an_end_teach_nothing():
    built = built_of()
    hp = Hparams(learning_rate=0.5, gamma=0.0)
    state = module.init(built, jax.random.key(0), hp)
    before, weights = state.play.timestep, state.params.weights
    after = before.replace(reward={n: jnp.full_like(r, 4.0) for n, r in before.reward.items()})
    joint = jnp.int32(0), jnp.int32(1)
    learned = lambda before: module.learn(built, weights, before, joint, after, hp)
    phi = next(iter(before.observation.values()))[0]
    for theta in learned(before):  # 0 + 0.5 (4 - 0) phi where (0, 1) was played
        np.testing.assert_allclose(theta[0, 1], 2 * phi)
        assert not theta[0, 0].any() and not theta[1].any()
    for theta in learned(before.replace(last=jnp.bool_(True))):
        assert not theta.any()
    alive = {name: jnp.zeros_like(x).at[0].set(True) for name, x in before.alive.items()}
    first, second = learned(before.replace(alive=alive))
    assert first.any() and second.any()  # fallen, and paid on
    more = {name: x.astype(jnp.float32) for name, x in alive.items()}
    first, second = learned(before.replace(alive=alive, discount=more))
    assert first.any() and not second.any()
    # NaN in the row of who is beyond pay reaches neither weights nor the others' joint action
    ghost = lambda by_group: {
        n: jnp.where(jnp.arange(2)[:, None] == 1, jnp.nan, x) for n, x in by_group.items()
    }
    seen = before.replace(alive=alive, discount=more, observation=ghost(before.observation))
    np.testing.assert_array_equal(learned(seen)[0], first)
    chosen, found = module.act(built, Params(weights, jnp.float32(0)), KEY, seen, 0.0)
    assert found and chosen[1] == 0


def test_schedules_count_beyond_an_int32():
    """1.5e9 updates of two steps are 3e9 steps, a period: 0.05 + 0.9 / e."""
    algorithm = linear_q(two_step_game(observation="features"), Config(2, "product"))
    hp = Hparams(epsilon_period=3e9)
    state = algorithm.init(KEY, hp)
    _, metrics = algorithm.update(KEY, state, hp, jnp.int32(1_500_000_000))
    np.testing.assert_allclose(metrics["exploration"], 0.05 + 0.9 / np.e, rtol=1e-5)


def test_exploration_falls_by_e_every_period():
    hp = Hparams(epsilon=0.9, final_epsilon=0.1, epsilon_period=100.0)
    found = [float(module.annealed_epsilon(hp, step)) for step in (0.0, 100.0, 200.0)]
    np.testing.assert_allclose(found, 0.1 + 0.8 * np.exp([0.0, -1.0, -2.0]), rtol=1e-6)
