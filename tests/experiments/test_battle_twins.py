"""The study behind `make demo`: what mean-field Q-learning must reach on its default budget."""

import pytest

from jaxmarl_core.experiments.studies import battle_twins
from jaxmarl_core.play.policies import Player, random_policy


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mfq_kills_half_of_a_random_army_on_each_of_four_seeds():
    """Who stands still kills nobody and loses 0.2, who plays at random kills 0.2 and loses 1.0."""
    env, policy, params = battle_twins.trained("mfq", 4)
    chance = Player(random_policy(env), ())
    end = battle_twins.fought(env, Player(policy, params), chance, 20, 4)
    assert end.kills.shape == (4,)
    assert (end.kills >= battle_twins.HALF).all(), end
    assert (end.kills > 2 * end.losses).all(), end
