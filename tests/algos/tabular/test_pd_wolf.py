"""Policy-dynamics WoLF, by hand and against what was replicated elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.repeated import gradient
from jaxmarl_core.algos.repeated.engine import Config
from jaxmarl_core.algos.tabular import pd_wolf
from jaxmarl_core.algos.tabular.rates import Values
from jaxmarl_core.algos.tabular.rules import GameInfo, Transition
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.train import Schedule, make_train


@pytest.mark.parametrize(("last", "last2", "ratio"), [(0.1, -0.02, 1), (0.1, 0.02, 4), (0, 0, 4)])
def test_a_hill_climber_steps_far_unless_its_changes_shrink(last, last2, ratio):
    hp = pd_wolf.HPARAMS.replace(learning_rate=0.0, win_step=0.01, lose_ratio=4.0, step_period=1e9)
    entry = pd_wolf.Entry(
        Values(jnp.array([1.0, 0.0]), ()),
        jnp.array([0.5, 0.5]),
        jnp.array([last, -last]),
        jnp.array([last2, -last2]),
        jnp.float32(3),
    )
    every = jnp.ones(2, bool)
    told = Transition(
        *(jnp.int32(0), jnp.int32(0), jnp.float32(0), jnp.float32(0), jnp.int32(0), None),
        *(every, every, jnp.int32(0), jax.random.key(0)),
    )
    after, _ = pd_wolf.rule(GameInfo(0, 1, (2, 2), (0, 1), None)).learn(entry, entry, told, hp)
    step = 0.01 * ratio
    np.testing.assert_allclose(after.pi, [0.5 + step, 0.5 - step], rtol=1e-5)
    np.testing.assert_allclose(after.change, [step, -step], rtol=1e-5)
    np.testing.assert_allclose(after.change2, [step - last, last - step], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("last", "step"), [(0.6, 0.1), (0.2, 0.2)])
def test_a_gradient_step_is_doubled_unless_it_shrinks(last, step):
    """Gradient (0.8, 0): movement (0.4, -0.4), after (0.6, -0.6) it slows down, after 0.2 not."""
    half = jnp.array([0.5, 0.5])
    entry = gradient.Entry(half, jnp.array([last, -last]), half, jnp.float32(3))
    x, movement = gradient.pd_wolf_step(entry, jnp.array([0.8, 0.0]), 0.1)
    np.testing.assert_allclose(movement, [0.4, -0.4], rtol=1e-6)
    np.testing.assert_allclose(x, [0.5 + step * 0.4, 0.5 - step * 0.4], rtol=1e-6)


@pytest.mark.fast("matching_pennies-0-0.0001")
@pytest.mark.parametrize(
    ("name", "least", "most"),
    # replicated elsewhere after 20,000 exact gradients: 1e-6, 5e-4, and 0.084, not converged
    [
        ("matching_pennies", 0, 1e-4),
        pytest.param("tricky", 0, 2e-3, marks=pytest.mark.slow),
        ("rock_paper_scissors", 0.02, 1),
    ],
)
def test_exact_gradients_converge_with_two_actions_and_not_with_three(name, least, most):
    env = matrix_game(name, num_rounds=None)
    algorithm = gradient.pd_wolf_iga(env, Config(1000))
    train, _ = make_train(algorithm, env, Schedule(20))
    hp = algorithm.hparams.replace(step_size=1e-3)
    keys = jax.random.split(jax.random.key(0), 8)
    tables = jax.jit(jax.vmap(train, (0, None)))(keys, hp)[0].params.tables
    for table in tables.values():
        x = np.asarray(table.x)[:, 0, 0]
        furthest = np.abs(x - 1 / x.shape[-1]).max(axis=-1)
        assert (furthest <= most).all() and (furthest >= least).all()
