"""What would broadcast in silence is an error that names the argument, when it is traced."""

import jax
import jax.numpy as jnp
import pytest

from jaxmarl_core.functional import (
    distributions,
    exploration,
    losses,
    off_policy,
    projections,
    q_policies,
    returns,
)
from jaxmarl_core.play import rollout
from jaxmarl_core.spaces import Box, Composite, Discrete

KEY = jax.random.key(0)
PARTS = Composite({"move": Discrete(2), "aim": Box((2,), -1.0, 1.0)})
T, COLUMN = jnp.ones(3), jnp.ones((3, 1))
WRONG = {
    "masked_mean": (lambda: losses.masked_mean(T, jnp.ones((3, 1), bool)), "mask"),
    "chosen": (lambda: losses.chosen(jnp.ones((3, 2)), jnp.zeros(1, int)), "action"),
    "policy_gradient": (lambda: losses.policy_gradient(T, COLUMN), "ratio, advantage"),
    "ppo_clip": (lambda: losses.ppo_clip(COLUMN, T, 0.1), "ratio, advantage"),
    "ppo_clip: clip": (lambda: losses.ppo_clip(T, T, COLUMN), "clip"),
    "huber": (lambda: losses.huber(T, COLUMN), "delta"),
    "clipped_value": (lambda: losses.clipped_value(T, T, COLUMN, 1.0), "value, old_value, target"),
    "td_target": (lambda: losses.td_target(T, T, COLUMN), "reward, discount, next_value"),
    "q_target": (lambda: losses.q_target(COLUMN, T, jnp.ones((3, 2))), "reward"),
    "max_value": (lambda: losses.max_value(jnp.ones((3, 2)), jnp.ones((4, 2), bool)), "mask"),
    "double_q_value": (
        lambda: losses.double_q_value(jnp.ones((3, 2)), jnp.ones(2)),
        "next_q_target",
    ),
    "mean_field_value": (lambda: losses.mean_field_value(jnp.ones((3, 2)), jnp.ones(2)), "pi"),
    "gae: reward": (lambda: returns.gae(COLUMN, T, T, 1.0, 1.0), "reward"),
    "gae: value": (lambda: returns.gae(T, T, COLUMN, 1.0, 1.0), "value"),
    "gae: bootstrap": (lambda: returns.gae(T, T, T, T, 1.0), "bootstrap"),
    "gae: lam": (lambda: returns.gae(T, T, T, 1.0, T), "lam"),
    "gae: valid": (lambda: returns.gae(T, T, T, 1.0, 1.0, jnp.ones(1, bool)), "valid"),
    "n_step": (lambda: returns.n_step(COLUMN, COLUMN, COLUMN, 1.0, 1), "reward"),
    "n_step_transition": (
        lambda: returns.n_step_transition(T, T, COLUMN),
        "reward, discount, last",
    ),
    "trajectory_terms": (lambda: returns.trajectory_terms(T, COLUMN, T), "reward, discount"),
    "trajectory_terms: last": (lambda: returns.trajectory_terms(COLUMN, COLUMN, T[:2]), "last"),
    "over_trajectories": (
        lambda: returns.over_trajectories(returns.gae)(COLUMN, COLUMN, T, 0.0, 1.0),
        "argument 2: expected shape",
    ),
    "joint_rows": (lambda: rollout.joint_rows(jnp.ones((4, 3, 2)), jnp.ones((4, 2))), "final"),
    "joint_rows: names": (lambda: rollout.joint_rows({"a": T}, {"b": T[0]}), "final"),
    "counterfactual_advantage": (
        lambda: returns.counterfactual_advantage(jnp.ones((3, 2)), jnp.ones(2), jnp.zeros(3, int)),
        "pi",
    ),
    "standardise": (lambda: returns.standardise(T, jnp.ones((3, 1), bool)), "mask"),
    "explained_variance": (lambda: returns.explained_variance(T, COLUMN, T), "value, target, mask"),
    "vtrace": (lambda: off_policy.vtrace(T, T, T, 1.0, COLUMN), "ratio"),
    "retrace": (lambda: off_policy.retrace(T, T, T, COLUMN, T), "next_value"),
    "greedy": (lambda: exploration.greedy(jnp.ones(2), jnp.ones((3, 2), bool)), "mask"),
    "pick": (lambda: exploration.pick(T, jnp.ones(2)), "share"),
    "epsilon_greedy": (
        lambda: exploration.epsilon_greedy(KEY, jnp.ones((3, 2)), COLUMN),
        "epsilon",
    ),
    "epsilon_greedy_probs": (
        lambda: exploration.epsilon_greedy_probs(jnp.ones((3, 2)), COLUMN),
        "epsilon",
    ),
    "boltzmann_probs": (
        lambda: exploration.boltzmann_probs(jnp.ones((3, 2)), COLUMN),
        "temperature",
    ),
    "gaussian_noise": (lambda: exploration.gaussian_noise(KEY, T, COLUMN), "scale"),
    "ornstein_uhlenbeck": (lambda: exploration.ornstein_uhlenbeck(T, COLUMN, 0.1, 0.2), "noise"),
    "squashed_draw": (lambda: q_policies.squashed_draw(T, COLUMN, T), "log_std"),
    "squashed_draw: noise": (lambda: q_policies.squashed_draw(T, T, COLUMN), "noise"),
    "smoothed": (lambda: q_policies.smoothed(T, COLUMN, 0.2, 0.5), "noise"),
    "twin_target: next_q": (lambda: q_policies.twin_target(T, T, T), "next_q"),
    "twin_target: bonus": (
        lambda: q_policies.twin_target(T, T, jnp.ones((2, 3)), COLUMN),
        "reward, discount, entropy_bonus",
    ),
    "soft_policy_loss": (lambda: q_policies.soft_policy_loss(T, COLUMN, 1.0), "log_prob, q"),
    "temperature_loss": (
        lambda: q_policies.temperature_loss(jnp.float32(0), T, COLUMN),
        "log_prob, target_entropy",
    ),
    "perturbed_one_hot": (lambda: distributions.perturbed_one_hot(T, COLUMN), "noise"),
    "project": (lambda: projections.project(COLUMN), "x"),
    "action_payoffs: player": (
        lambda: projections.action_payoffs(jnp.ones((2, 2)), [jnp.ones(2)] * 2, 2),
        "player",
    ),
    "action_payoffs: strategies": (
        lambda: projections.action_payoffs(jnp.ones((2, 3)), [jnp.ones(2)] * 2, 0),
        "strategies.1.",
    ),
    "distribution: head": (lambda: distributions.distribution(Discrete(3), jnp.ones(2)), "head"),
    "distribution: mask": (
        lambda: distributions.distribution(PARTS, jnp.ones(4), {"moev": [True, True]}, jnp.ones(2)),
        "mask: expected one of aim, move; got 'moev'; did you mean 'move'",
    ),
    "distribution: log_std": (
        lambda: distributions.distribution(Box((2,)), jnp.ones(2), None, jnp.ones(3)),
        "log_std",
    ),
    "categorical": (lambda: distributions.categorical(jnp.ones(2), jnp.ones((3, 2), bool)), "mask"),
    "relaxed_one_hot": (
        lambda: distributions.relaxed_one_hot(KEY, jnp.ones((3, 2)), T),
        "temperature",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_named(name):
    call, words = WRONG[name]
    with pytest.raises(ValueError, match=f"^{words}"):
        jax.eval_shape(call)  # traced, as in a program
