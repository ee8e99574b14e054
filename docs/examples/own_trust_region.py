"""A trust-region method on a loss of one's own: a policy that minds what its reward varies by.

Which of three arms pays most depends on what is seen, and the better an arm pays, the less sure it
is. The policy climbs  mean - RISK * deviation  of its reward, which is no mean of anything; each
step is as long as a divergence from the last policy allows.
"""

import jax
import jax.numpy as jnp

from jaxmarl_core.functional.distributions import categorical
from jaxmarl_core.functional.projections import expectation
from jaxmarl_core.functional.trust_region import trust_region_step
from jaxmarl_core.learners.networks import MLP, apply

RISK, MAX_KL = 0.3, 0.01
network = MLP((16, 3), activate_final=False)
seen = jax.random.normal(jax.random.key(0), (256, 2))
mean = jnp.stack([seen[:, 0], 1.5 * seen[:, 1], jnp.zeros(256)], -1)  # what each arm pays, [256, 3]
deviation = jnp.array([0.3, 4.0, 0.1])


def policy(params):
    return categorical(apply(network, params, seen))


def objective(params):
    """Returns mean - RISK * deviation of the reward, over what is seen, chosen and paid, []."""
    probs = jnp.asarray(policy(params).probs)
    first = expectation(probs, mean).mean()
    second = expectation(probs, mean**2 + deviation**2).mean()
    return first - RISK * jnp.sqrt(second - first**2)


def step(params, _):
    old = policy(params)
    divergence = lambda new: old.kl_divergence(policy(new)).mean()
    found = trust_region_step(objective, divergence, params, MAX_KL, damping=1e-3)
    return found.params, (objective(found.params), found.divergence, found.accepted)


@jax.jit
def train(key):
    """Returns the parameters, and of each of 200 steps (objective, divergence, accepted)."""
    return jax.lax.scan(step, network.init(key, seen), length=200)


if __name__ == "__main__":
    _, (gained, kl, accepted) = train(jax.random.key(1))
    print("mean - risk:", gained[::20], "largest divergence:", kl.max(), "steps:", accepted.sum())
