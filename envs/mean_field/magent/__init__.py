"""MAgent's grid worlds beside the battle, and the rules that all of them share."""

from jaxmarl_core.envs.mean_field.magent.adversarial_pursuit import (
    AdversarialPursuit,
    adversarial_pursuit,
)
from jaxmarl_core.envs.mean_field.magent.combined_arms import CombinedArms, combined_arms
from jaxmarl_core.envs.mean_field.magent.gather import Gather, gather

__all__ = [
    "AdversarialPursuit",
    "CombinedArms",
    "Gather",
    "adversarial_pursuit",
    "combined_arms",
    "gather",
]
