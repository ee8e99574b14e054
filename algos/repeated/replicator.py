"""Replicator dynamics: what does better than a population's average becomes more of it.

    x(a) grows by step x(a) (u(a) - sum_b x(b) u(b))

The evolutionary limit of many reinforcement learners. In zero-sum games it circles the equilibrium
(and in finite steps slowly spirals outwards); its time average converges.

Taylor & Jonker, 1978, Mathematical Biosciences 40; Boergers & Sarin, 1997, J. Economic Theory 77.
"""

import jax.numpy as jnp

from jaxmarl_core.algos.repeated import gradient
from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular.rules import GameInfo, Rule
from jaxmarl_core.recipes import require_own
from jaxmarl_core.types import Algorithm, Environment


def replicator_step(entry, payoffs, step):
    """Returns (x, slow) after an Euler step; the slow strategy is not used."""
    grown = jnp.maximum(entry.x * (1 + step * (payoffs - jnp.dot(entry.x, payoffs))), 0.0)
    return grown / grown.sum(), entry.slow


def rule(info: GameInfo) -> Rule:
    """Returns the rule."""
    return gradient.rule(info, replicator_step)


def replicator(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns replicator dynamics for every player's population."""
    require_own("replicator", config, Config)
    return repeated(env, config, rule, gradient.Hparams())
