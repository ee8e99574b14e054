"""MAgent's grid worlds beside the battle, and the rules that all of them share."""

from jaxmarl_core.envs.mean_field.magent.combined_arms import CombinedArms, combined_arms

__all__ = ["CombinedArms", "combined_arms"]
