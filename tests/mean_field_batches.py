"""Transitions of single agents among many, and a network that NumPy can follow. For tests."""

import numpy as np

from jaxmarl_core.algos.mean_field.td_loss import StoredStep

FEATURES, ACTIONS = 3, 4


def linear(weights, observation, mean_action):
    """Linear in what is seen and in the mean action."""
    return observation @ weights["observation"] + mean_action @ weights["mean_action"]


def drawn(rng, size):
    """(a stored step, weights) in NumPy; dead agents, ends and illegal actions among them."""
    mask = rng.random((size, ACTIONS)) < 0.7
    mask[:, 1] = True
    step = StoredStep(
        observation=rng.normal(size=(size, FEATURES)),
        mean_action=rng.dirichlet(np.ones(ACTIONS), size),
        action_mask=mask,
        action=rng.integers(0, ACTIONS, size),
        reward=rng.normal(size=size),
        discount=(rng.random(size) < 0.7).astype(float),
        alive=rng.random(size) < 0.7,
        last=rng.random(size) < 0.3,
    )
    weights = {
        "observation": rng.normal(size=(FEATURES, ACTIONS)),
        "mean_action": rng.normal(size=(ACTIONS, ACTIONS)),
    }
    return step, weights
