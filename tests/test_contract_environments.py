"""What every environment promises: time steps in spec, one program, honest ends, whole episodes.

The promises are the checks of `jaxmarl_core.checks.environment`, which anybody can run on a world
of their own. A new entry of ENVIRONMENTS needs a line in `FITTING` (fitting.py); all of them then
apply to it, and to the probe worlds.
"""

import numpy as np
import pytest
from fitting import CASES, FITTING, fitting

from jaxmarl_core.checks.environment import CHECKS, play_random_episode
from jaxmarl_core.envs import ENVIRONMENTS


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def case(request):
    """(an environment with a random episode of it, whether such episodes truly end)"""
    env, ends_truly = fitting(*request.param)
    return play_random_episode(env), ends_truly


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_every_environment_is_tested(name):
    assert FITTING.get(name), f"{name} is registered: add a case of it to FITTING (fitting.py)"


def test_keeps_its_promises(case):
    world, _ = case
    found = {check.__name__: list(check(world)) for check in CHECKS}
    assert {name: complaints for name, complaints in found.items() if complaints} == {}


def test_the_end_is_the_one_it_should_be(case):
    """Whether it terminates or is cut off is told by the discounts of those who are alive."""
    world, ends_truly = case
    final = world.timesteps[-1]
    for name in world.env.groups:
        alive = np.asarray(final.alive[name])
        discount = np.asarray(final.discount[name])[alive]
        np.testing.assert_array_equal(discount, 0.0 if ends_truly else 1.0)
