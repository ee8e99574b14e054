"""The programs of docs/examples do what they say, and are short."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "most"), [("own_ppo", 60), ("own_qmix", 80), ("own_trust_region", 40)]
)
def test_they_are_short(name, most):
    """Lines of nothing and those of the docstring are not counted."""
    code = (EXAMPLES / f"{name}.py").read_text().split('"""', 2)[2]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= most


@pytest.mark.slow
def test_a_ppo_of_ones_own_learns_to_cover_landmarks():
    """At random three agents earn -80 together in 25 steps."""
    train = load("own_ppo").train
    _, reward = jax.vmap(lambda key: train(key, 100))(jax.random.split(jax.random.key(0), 4))
    returns = 25 * np.asarray(reward)
    assert (returns[:, 0] < -72).all()
    assert (returns[:, -10:].mean(-1) > -65).all(), returns[:, ::10]


@pytest.mark.slow
def test_a_ppo_of_ones_own_begins_to_learn():
    _, reward = load("own_ppo").train(jax.random.key(0), 20)
    returns = 25 * np.asarray(reward)
    assert np.isfinite(returns).all()
    assert returns[-3:].mean() > returns[:3].mean()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_qmix_of_ones_own_finds_the_eight(seed):
    module = load("own_qmix")
    params = module.train(jax.random.key(seed), 1000)
    assert module.greedy_return(params) == 8


def test_a_trust_region_on_ones_own_loss():
    """Within the divergence it is allowed, upwards, and better than any one arm or mixture of all.

    The deviation is checked by NumPy from the policy that was found: that of a mixture of normals.
    """
    module = load("own_trust_region")
    params, (gained, kl, accepted) = module.train(jax.random.key(1))
    assert (np.asarray(kl) <= module.MAX_KL).all()
    taken = np.asarray(accepted)
    assert taken[:20].all()
    assert (np.diff(gained)[taken[1:]] > -1e-5).all()

    probs = np.asarray(module.policy(params).probs, np.float64)
    mean, sigma = np.asarray(module.mean, np.float64), np.asarray(module.deviation, np.float64)
    rng = np.random.default_rng(0)
    rows = rng.integers(len(probs), size=400_000)
    arms = (probs[rows].cumsum(-1) > rng.random((len(rows), 1))).argmax(-1)
    paid = mean[rows, arms] + sigma[arms] * rng.normal(size=len(rows))
    np.testing.assert_allclose(paid.mean() - module.RISK * paid.std(), gained[-1], atol=0.01)

    def worth(probs):
        first = (probs * mean).sum(-1).mean()
        second = (probs * (mean**2 + sigma**2)).sum(-1).mean()
        return first - module.RISK * np.sqrt(second - first**2)

    blind = [worth(np.broadcast_to(arm, mean.shape)) for arm in np.eye(3)]
    neutral = worth(np.eye(3)[mean.argmax(-1)])  # who takes what pays most
    assert gained[-1] > max(*blind, neutral) + 0.1, (gained[-1], blind, neutral)
