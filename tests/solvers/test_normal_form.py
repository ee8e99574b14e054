"""The solvers of normal-form games agree with each other, and are found where they should be."""

import importlib
import subprocess
import sys
from functools import cache

import jax
import numpy as np
import pytest

from jaxmarl_core.solvers import normal_form
from jaxmarl_core.solvers.normal_form import (
    correlated,
    correlated_gap,
    exploitability,
    joint_play,
    nash,
    nash_conv,
    pure_commitment,
    pure_equilibria,
    stackelberg,
    undominated,
    zero_sum,
)


def test_all_names_are_there():
    """And what each of them costs is told in the package's docstring."""
    assert sorted(normal_form.__all__) == normal_form.__all__
    for name in normal_form.__all__:
        assert hasattr(normal_form, name) and f"`{name}`" in normal_form.__doc__


@pytest.mark.parametrize("name", ["zero_sum", "correlated", "lemke_howson", "stackelberg"])
def test_a_module_and_its_function_share_a_name(name):
    """The package's attribute is the function, the path is the module, whatever came first."""
    path = f"jaxmarl_core.solvers.normal_form.{name}"
    module = importlib.import_module(path)
    assert getattr(normal_form, name) is getattr(module, name) is not module
    lines = [
        f"from {path} import {name} as first",
        f"from jaxmarl_core.solvers.normal_form import {name} as second",
        "assert first is second and callable(first)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@cache
def over_games(rule):
    """The rule for many games, compiled once for all tests."""
    return jax.jit(jax.vmap(rule))


@pytest.fixture(scope="module")
def games():
    return np.random.default_rng(0).normal(size=(30, 2, 3, 3)).astype(np.float32)


@pytest.mark.slow
def test_a_zero_sum_game_by_four_solvers(games):
    """Whoever solves it: the value is the same (von Neumann), and nobody can be exploited."""
    payoffs = np.stack([games[:, 0], -games[:, 0]], axis=1)
    values = over_games(zero_sum)(games[:, 0]).value
    for rule in (nash, correlated, stackelberg):
        found = over_games(rule)(payoffs)
        np.testing.assert_allclose(found.values[:, 0], values, atol=2e-4)
    strategies = over_games(nash)(payoffs).strategies
    assert (np.asarray(over_games(exploitability)(payoffs, strategies)) < 1e-4).all()


def test_equilibria_satisfy_the_measures(games):
    strategies = over_games(nash)(games).strategies
    assert (np.asarray(over_games(nash_conv)(games, strategies)) < 1e-4).all()
    gap = over_games(correlated_gap)
    assert (np.asarray(gap(games, jax.vmap(joint_play)(strategies))) < 1e-4).all()
    found = over_games(correlated)(games)
    assert (np.asarray(gap(games, found.joint))[np.asarray(found.converged)] < 1e-3).all()


def test_more_freedom_is_worth_no_less(games):
    """A pure equilibrium is a correlated one; mixed commitment is worth no less than pure."""
    best = np.asarray(over_games(correlated)(games).values).sum(1)
    pure = np.asarray(over_games(pure_equilibria)(games))
    assert pure.any((1, 2)).mean() > 0.5
    for game, stable, value in zip(games, pure, best):
        assert not stable.any() or game.sum(0)[stable].max() < value + 1e-4
    mixed = over_games(stackelberg)(games).values[:, 0]
    assert (mixed > over_games(pure_commitment)(games).values[:, 0] - 1e-4).all()


@pytest.mark.slow
def test_masks_of_survivors_are_masks(games):
    """Solved without the dominated actions a game has the same best correlated equilibrium."""
    before = over_games(correlated)(games)
    masks = over_games(undominated)(games)
    assert not all(np.asarray(mask).all() for mask in masks)
    after = jax.jit(jax.vmap(lambda p, m: correlated(p, masks=m)))(games, masks)
    both = np.asarray(before.converged & after.converged)
    assert both.mean() > 0.9
    np.testing.assert_allclose(after.values[both], before.values[both], atol=1e-3)
