"""Best responses in Markov games, against closed forms and loops over policies."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.solvers.markov_games import MarkovGame
from jaxmarl_core.solvers.markov_responses import best_response, nash_conv, policy_values

RPS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], float)


def repeated(payoff, num_states=1):
    """A matrix game played for ever, in each of some states that are all the same."""
    shape = (num_states, *payoff.shape, 1)
    reward = np.broadcast_to(payoff[None, ..., None], shape)
    successor = np.broadcast_to(np.arange(num_states)[:, None, None, None], shape)
    return MarkovGame(
        jnp.asarray(successor, jnp.int32), jnp.ones(shape), jnp.stack([reward, -reward]),
        jnp.zeros(num_states, bool),
        tuple(jnp.ones((num_states, size), bool) for size in payoff.shape),
        jnp.ones(num_states) / num_states,
    )  # fmt: skip


def random_game(seed, num_states=4, sizes=(2, 3)):
    """A game of random tables, two outcomes a joint action, and an end."""
    rng = np.random.default_rng(seed)
    shape = (num_states, *sizes, 2)
    probability = rng.uniform(0.1, 1, shape)
    terminal = np.arange(num_states) == num_states - 1
    successor = rng.integers(0, num_states, shape)
    successor[terminal] = num_states - 1
    reward = rng.normal(size=(2, *shape)) * ~terminal[:, None, None, None]
    legal = [np.ones((num_states, size), bool) for size in sizes]
    legal[1][0, 2] = False
    return MarkovGame(
        jnp.asarray(successor, jnp.int32),
        jnp.asarray(probability / probability.sum(-1, keepdims=True), jnp.float32),
        jnp.asarray(reward, jnp.float32), jnp.asarray(terminal),
        tuple(map(jnp.asarray, legal)), jnp.eye(num_states)[0],
    )  # fmt: skip


def mixed(game, seed):
    rng = np.random.default_rng(seed)
    found = [rng.uniform(0.1, 1, legal.shape) * legal for legal in game.legal]
    return [jnp.asarray(x / x.sum(1, keepdims=True), jnp.float32) for x in found]


def solved_values(game, policies, gamma):
    """What policies are worth, by linear equations in NumPy, [N, S]."""
    num_states = game.num_states
    transition, reward = np.zeros((num_states, num_states)), np.zeros((2, num_states))
    for s in range(num_states):
        for a, b, k in itertools.product(*map(range, game.successor.shape[1:])):
            chance = float(policies[0][s, a] * policies[1][s, b] * game.probability[s, a, b, k])
            following = int(game.successor[s, a, b, k])
            reward[:, s] += chance * np.asarray(game.reward[:, s, a, b, k])
            if not game.terminal[s] and not game.terminal[following]:
                transition[s, following] += chance
    return np.linalg.solve(np.eye(num_states) - gamma * transition, reward.T).T


def test_against_rock_for_ever_paper_wins_for_ever():
    game = repeated(RPS)
    rock = jnp.eye(3)[:1]
    found = best_response(game, (rock, rock), 0, 0.9)
    assert found.converged
    np.testing.assert_allclose(found.value, [10.0], rtol=1e-4)  # 1 / (1 - 0.9)
    np.testing.assert_array_equal(found.policy, [[0, 1, 0]])
    # both could win 10 where they tie now
    np.testing.assert_allclose(nash_conv(game, (rock, rock), 0.9), 20.0, rtol=1e-4)
    even = jnp.full((1, 3), 1 / 3)
    np.testing.assert_allclose(nash_conv(game, (even, even), 0.9), 0.0, atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_policies_are_worth_what_linear_equations_say(seed):
    game = random_game(seed)
    policies = mixed(game, seed)
    found = jax.jit(policy_values)(game, policies, 0.9)
    np.testing.assert_allclose(found, solved_values(game, policies, 0.9), atol=1e-4)


@pytest.mark.parametrize("player", [0, 1])
def test_a_best_response_is_the_best_of_all_pure_policies(player):
    game = random_game(5)
    policies = mixed(game, 5)
    found = best_response(game, policies, player, 0.9)
    best = np.full(game.num_states, -np.inf)
    choices = [np.flatnonzero(legal) for legal in np.asarray(game.legal[player])]
    for pure in itertools.product(*choices):
        tried = list(policies)
        tried[player] = np.eye(game.num_actions[player])[list(pure)]
        best = np.maximum(best, solved_values(game, tried, 0.9)[player])
    np.testing.assert_allclose(found.value, best, atol=1e-4)
    tried = list(policies)
    tried[player] = found.policy
    np.testing.assert_allclose(solved_values(game, tried, 0.9)[player], best, atol=1e-4)


def test_in_double_precision():
    game, policies = random_game(5), mixed(random_game(5), 5)
    expected = nash_conv(game, policies, 0.9)
    with jax.enable_x64(True):
        wide = lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x
        double, strategies = jax.tree.map(wide, game), jax.tree.map(wide, policies)
        found = nash_conv(double, strategies, jnp.float64(0.9))
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, expected, rtol=1e-3)
        nash_conv(game, policies, jnp.float64(0.9))  # gamma alone does not make it double


def test_what_is_wrong_is_named():
    game = repeated(RPS)
    with pytest.raises(ValueError, match="policies: expected one for each of 2"):
        best_response(game, (jnp.ones((1, 3)),), 0, 0.9)
    with pytest.raises(ValueError, match="player: expected below 2"):
        best_response(game, (jnp.ones((1, 3)), jnp.ones((1, 3))), 2, 0.9)
