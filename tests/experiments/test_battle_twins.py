"""The study behind `make demo`: what mean-field Q-learning must reach on its default budget."""

import pytest

from jaxmarl_core.experiments.studies import battle_twins
from jaxmarl_core.play.policies import Player, random_policy


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mfq_wins_nearly_every_battle_against_random_on_each_of_four_seeds():
    env, policy, params = battle_twins.trained("mfq", 4)
    chance = Player(random_policy(env), ())
    won, _ = battle_twins.share_won(env, Player(policy, params), chance, 200, 4)
    assert won.shape == (4,)
    assert (won >= 0.95).all(), won
